"""The shapes of the HTTP API: what a caller sees of workflows and dead letters."""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Generic, TypeVar

from pydantic import ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from shared.contracts.cloudevents import Instant
from shared.contracts.schedules import PauseView, WarningView, pause_view, warning_view
from shared.contracts.views import View
from shared.domain.catalogue import normalised
from shared.domain.due import next_fires
from shared.domain.execution import Execution
from shared.domain.schedule_warnings import ScheduleWarning
from shared.domain.secrets import redact_headers
from shared.domain.triggers import max_runs_of
from shared.domain.workflow import Workflow, trigger_status
from shared.ports.dead_letters import DeadLetter

T = TypeVar("T")


class Page(View, Generic[T]):
    """A page of a list; `nextCursor` is there if more follows."""

    items: list[T]
    next_cursor: str | None = None


_WITH_FIELDS: Final = ConfigDict(
    alias_generator=to_camel, validate_by_name=True, extra="allow", serialize_by_alias=True
)


_RUNS: Final = "How often it has fired, if that is limited by maxRuns."


class OneTriggerView(View):
    """One of several triggers as it was defined, and when it fires next."""

    model_config = _WITH_FIELDS

    id: str
    type: str
    next_run_at: Instant | None = None
    runs: Annotated[int | None, Field(description=_RUNS)] = None


class TriggerView(View):
    """The trigger as it was defined, and whether it could fire now.

    Of several triggers, which are in `triggers`, the type is `several`.
    """

    model_config = _WITH_FIELDS

    type: str
    status: Annotated[str, Field(examples=["idle", "busy", "pending"])]
    next_run_at: Annotated[
        Instant | None, Field(description="Of several triggers, the earliest.")
    ] = None
    runs: Annotated[int | None, Field(description=_RUNS)] = None
    execution_id: Annotated[
        str | None, Field(description="The unfinished execution, if busy or pending.")
    ] = None
    next_attempt_at: Instant | None = None
    retries_left: int | None = None
    running: Annotated[
        int | None,
        Field(description="How many executions are unfinished, where more than one may be, or is."),
    ] = None
    buffered: Annotated[
        int | None, Field(description="How many wait for their turn, where any may, or do.")
    ] = None


class WorkflowView(View):
    """A workflow with its normalised definition and its state."""

    workflow_id: str
    version: int
    enabled: Annotated[bool, Field(description="If not, its schedule does not fire.")]
    paused: PauseView | None = None
    trigger: TriggerView
    triggers: list[OneTriggerView] | None = None
    actions: list[dict[str, JsonValue]]
    retry: dict[str, JsonValue]
    concurrency: int | None = None
    timeout: str | None = None
    input_schema: dict[str, JsonValue] | None = None
    pause_on_failure: int | None = None
    overlap: str | None = None
    max_concurrent: int | None = None
    max_buffered: int | None = None
    warnings: Annotated[
        list[WarningView] | None, Field(description="What its author should know; not in lists.")
    ] = None
    created_at: Instant
    updated_at: Instant


class Accepted(View):
    """The answer to a trigger."""

    execution_id: str
    status: Annotated[
        str, Field(description="queued; or buffered, if it has to wait for its turn first.")
    ] = "queued"


class DeadLetterView(View):
    """A message that no runner could understand."""

    id: str
    status: str
    reason: str
    topic: str
    partition: int
    offset: int
    timestamp: Instant
    received_at: Instant
    resolved_at: Instant | None = None
    key: Annotated[str | None, Field(description="The message's key, as base64.")] = None
    value: Annotated[
        str | None, Field(description="The message's bytes, as base64; not in lists.")
    ] = None
    text: Annotated[
        str | None, Field(description="The bytes as text, if they are UTF-8; not in lists.")
    ] = None


def workflow_view(
    workflow: Workflow,
    holders: Sequence[Execution],
    warnings: Sequence[ScheduleWarning] = (),
    buffered: int = 0,
) -> WorkflowView:
    """Show a workflow; credentials written into its headers are redacted."""
    definition: dict[str, Any] = normalised(workflow.definition)
    active = holders[0] if holders else None
    policy = workflow.definition.overlap_policy
    fires = next_fires(workflow) if workflow.enabled else {}
    return WorkflowView(
        workflow_id=workflow.id,
        version=workflow.version,
        enabled=workflow.enabled,
        paused=pause_view(workflow.paused),
        trigger=TriggerView(
            **definition.get("trigger", {"type": "several"}),
            status=trigger_status(active).value,
            next_run_at=min(fires.values(), default=None),
            runs=_runs(workflow),
            execution_id=active.id if active else None,
            next_attempt_at=active.next_attempt_at if active else None,
            retries_left=active.retries_left if active else None,
            running=len(holders) if max(policy.slots, len(holders)) > 1 else None,
            buffered=buffered if policy.buffers or buffered else None,
        ),
        triggers=_several(workflow, definition.get("triggers"), fires),
        actions=[_redacted(action) for action in definition["actions"]],
        retry=definition["retry"],
        concurrency=definition.get("concurrency"),
        timeout=definition.get("timeout"),
        input_schema=definition.get("inputSchema"),
        pause_on_failure=definition.get("pauseOnFailure"),
        overlap=definition.get("overlap"),
        max_concurrent=definition.get("maxConcurrent"),
        max_buffered=definition.get("maxBuffered"),
        warnings=[warning_view(warning) for warning in warnings] or None,
        created_at=workflow.created_at,
        updated_at=workflow.updated_at,
    )


def dead_letter_view(letter: DeadLetter, *, whole: bool = True) -> DeadLetterView:
    """Show a dead letter, unless it is one of many with its bytes."""
    record = letter.record
    return DeadLetterView(
        id=letter.id,
        status=letter.status.value,
        reason=letter.reason,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=record.timestamp,
        received_at=letter.received_at,
        resolved_at=letter.resolved_at,
        key=base64.b64encode(record.key).decode() if record.key is not None else None,
        value=base64.b64encode(record.value).decode() if whole else None,
        text=_text(record.value) if whole else None,
    )


def _several(
    workflow: Workflow, triggers: Sequence[dict[str, Any]] | None, fires: Mapping[str, datetime]
) -> list[OneTriggerView] | None:
    if triggers is None:
        return None
    return [
        OneTriggerView(**each, next_run_at=fires.get(each["id"]), runs=_runs(workflow, each["id"]))
        for each in triggers
    ]


def _runs(workflow: Workflow, trigger_id: str | None = None) -> int | None:
    """Return how often a trigger (by default, the only one) has fired, if that is limited."""
    triggers = workflow.definition.all_triggers
    if trigger_id is None and len(triggers) > 1:
        return None
    name = trigger_id or next(iter(triggers))
    return None if max_runs_of(triggers[name]) is None else workflow.runs.get(name, 0)


def _redacted(action: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return an action, and what undoes it, without the credentials in their headers."""
    shown, headers, undoing = dict(action), action.get("headers"), action.get("compensate")
    if isinstance(headers, dict):
        shown["headers"] = dict(redact_headers({k: str(v) for k, v in headers.items()}))
    if isinstance(undoing, list):
        shown["compensate"] = [_redacted(undo) for undo in undoing if isinstance(undo, dict)]
    return shown


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
