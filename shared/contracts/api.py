"""The shapes of the HTTP API: what a caller sees of workflows, executions and dead letters."""

import base64
from datetime import timedelta
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from shared.contracts.cloudevents import Instant
from shared.domain.catalogue import normalised
from shared.domain.execution import ActionState, Execution, Failure, HistoryEvent, Skip
from shared.domain.secrets import redact_headers
from shared.domain.workflow import Workflow, trigger_status
from shared.ports.dead_letters import DeadLetter

T = TypeVar("T")


class View(BaseModel):
    """Base of everything the API returns: camelCase, nothing that is null."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)


class Page(View, Generic[T]):
    """A page of a list; `nextCursor` is there if more follows."""

    items: list[T]
    next_cursor: str | None = None


class TriggerView(View):
    """The trigger as it was defined, and whether it could fire now."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, extra="allow", serialize_by_alias=True
    )

    type: str
    status: Annotated[str, Field(examples=["idle", "busy", "pending"])]
    next_run_at: Instant | None = None
    execution_id: Annotated[
        str | None, Field(description="The unfinished execution, if busy or pending.")
    ] = None
    next_attempt_at: Instant | None = None
    retries_left: int | None = None


class WorkflowView(View):
    """A workflow with its normalised definition and its state."""

    workflow_id: str
    version: int
    enabled: bool
    trigger: TriggerView
    actions: list[dict[str, JsonValue]]
    retry: dict[str, JsonValue]
    created_at: Instant
    updated_at: Instant


class Accepted(View):
    """The answer to a trigger."""

    execution_id: str
    status: str = "queued"


class FailureView(View):
    """Why something failed."""

    category: str
    message: str


class ActionView(View):
    """How far one action got."""

    id: str
    status: str
    attempts: int
    started_at: Instant | None = None
    finished_at: Instant | None = None
    output: JsonValue = None
    error: FailureView | None = None


class EventView(View):
    """One thing that happened."""

    seq: int
    type: str
    at: Instant
    action: str | None = None
    attempt: int | None = None
    runner: str | None = None
    started_at: Instant | None = None
    next_attempt_at: Instant | None = None
    output: JsonValue = None
    error: FailureView | None = None
    reason: str | None = None


class SkipView(View):
    """Why nothing ran, and for which instants."""

    reason: str
    from_: Annotated[Instant, Field(alias="from")]
    to: Instant
    count: int


class ExecutionSummary(View):
    """An execution as it appears in lists."""

    execution_id: str
    workflow_id: str
    version: int
    trigger: str
    status: str
    created_at: Instant
    scheduled_for: Instant | None = None
    started_at: Instant | None = None
    finished_at: Instant | None = None
    lateness_ms: Annotated[
        int | None, Field(description="From the instant it was due (or triggered) to its start.")
    ] = None
    attempt: int
    retries_left: int
    recoveries: int
    next_attempt_at: Instant | None = None
    error: FailureView | None = None
    skipped: SkipView | None = None


class ExecutionView(ExecutionSummary):
    """An execution with its actions and its history."""

    input: JsonValue = None
    runner: Annotated[str | None, Field(description="The runner that holds it now.")] = None
    actions: list[ActionView]
    history: list[EventView]


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


def workflow_view(workflow: Workflow, active: Execution | None) -> WorkflowView:
    """Show a workflow; credentials written into its headers are redacted."""
    definition: dict[str, Any] = normalised(workflow.definition)
    return WorkflowView(
        workflow_id=workflow.id,
        version=workflow.version,
        enabled=workflow.enabled,
        trigger=TriggerView(
            **definition["trigger"],
            status=trigger_status(active).value,
            next_run_at=workflow.next_run_at if workflow.enabled else None,
            execution_id=active.id if active else None,
            next_attempt_at=active.next_attempt_at if active else None,
            retries_left=active.retries_left if active else None,
        ),
        actions=[_redacted(action) for action in definition["actions"]],
        retry=definition["retry"],
        created_at=workflow.created_at,
        updated_at=workflow.updated_at,
    )


def execution_summary(execution: Execution) -> ExecutionSummary:
    """Show an execution in a list."""
    return ExecutionSummary(**_summary(execution))


def execution_view(execution: Execution) -> ExecutionView:
    """Show an execution with all there is to know."""
    return ExecutionView(
        **_summary(execution),
        input=execution.input,
        runner=execution.lease.owner if execution.lease else None,
        actions=[_action(action_id, state) for action_id, state in execution.actions.items()],
        history=[_event(event, execution) for event in execution.history],
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


def _summary(execution: Execution) -> dict[str, Any]:
    late = execution.lateness
    return {
        "execution_id": execution.id,
        "workflow_id": execution.workflow_id,
        "version": execution.version,
        "trigger": execution.trigger_id,
        "status": execution.status.value,
        "created_at": execution.created_at,
        "scheduled_for": execution.scheduled_for,
        "started_at": execution.started_at,
        "finished_at": execution.finished_at,
        "lateness_ms": late // timedelta(milliseconds=1) if late is not None else None,
        "attempt": execution.attempt,
        "retries_left": execution.retries_left,
        "recoveries": execution.recoveries,
        "next_attempt_at": execution.next_attempt_at,
        "error": _failure(execution.error),
        "skipped": _skip(execution.skip),
    }


def _action(action_id: str, state: ActionState) -> ActionView:
    return ActionView(
        id=action_id,
        status=state.status.value,
        attempts=state.attempts,
        started_at=state.started_at,
        finished_at=state.finished_at,
        output=state.output,
        error=_failure(state.error),
    )


def _event(event: HistoryEvent, execution: Execution) -> EventView:
    """Show an event; the output of a completed action is kept once, with the action."""
    done = event.type == "action.completed" and event.action in execution.actions
    return EventView(
        seq=event.seq,
        type=event.type.value,
        at=event.at,
        action=event.action,
        attempt=event.attempt,
        runner=event.runner,
        started_at=event.started_at,
        next_attempt_at=event.next_attempt_at,
        output=execution.actions[event.action or ""].output if done else None,
        error=_failure(event.error),
        reason=event.reason,
    )


def _failure(failure: Failure | None) -> FailureView | None:
    return (
        FailureView(category=failure.category.value, message=failure.message) if failure else None
    )


def _skip(skip: Skip | None) -> SkipView | None:
    if skip is None:
        return None
    return SkipView(reason=skip.reason.value, from_=skip.first, to=skip.last, count=skip.count)


def _redacted(action: dict[str, JsonValue]) -> dict[str, JsonValue]:
    headers = action.get("headers")
    if not isinstance(headers, dict):
        return action
    return {**action, "headers": dict(redact_headers({k: str(v) for k, v in headers.items()}))}


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
