"""The shapes of the HTTP API: what a caller sees of an execution."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field, JsonValue

from shared.contracts.cloudevents import Instant
from shared.contracts.schedules import PauseView, pause_view
from shared.contracts.views import View
from shared.domain.execution import (
    ActionState,
    Ending,
    Execution,
    Failure,
    HistoryEvent,
    Origin,
    Skip,
)
from shared.domain.items import output_of
from shared.domain.outcomes import item_key


class FailureView(View):
    """Why something failed."""

    category: str
    message: str


class ItemView(View):
    """How far one action, or one item of a forEach, got."""

    id: str
    status: str
    attempts: int
    started_at: Instant | None = None
    finished_at: Instant | None = None
    next_attempt_at: Annotated[
        Instant | None, Field(description="When it is called again, or its timer ends.")
    ] = None
    output: JsonValue = None
    error: FailureView | None = None
    reason: Annotated[str | None, Field(description="Why it was skipped.")] = None
    tolerated: Annotated[
        bool | None, Field(description="Its failure does not fail the execution.")
    ] = None
    index: Annotated[int | None, Field(description="Which item of the forEach, from 0.")] = None


class ActionView(ItemView):
    """An action; that of a forEach has the list of what its items gave as its output."""

    count: Annotated[int | None, Field(description="How many items a forEach has.")] = None
    items: Annotated[
        list[ItemView] | None, Field(description="The items that were begun, by index.")
    ] = None


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
    digest: Annotated[
        str | None, Field(description="The fingerprint of the output when it was recorded.")
    ] = None
    error: FailureView | None = None
    reason: str | None = None
    retries_left: int | None = None
    count: Annotated[int | None, Field(description="How many items a forEach has.")] = None
    tolerated: bool | None = None
    undoing: Annotated[
        list[str] | None, Field(description="The actions that are to be undone, in this order.")
    ] = None
    deadline: Instant | None = None
    tzdata: Annotated[
        str | None,
        Field(description="The version of the zones' rules, of an occurrence of a calendar."),
    ] = None
    slot: Annotated[
        int | None,
        Field(description="The slot of its workflow that it took, if another than the first."),
    ] = None
    place: Annotated[
        int | None, Field(description="The place in its workflow's buffer that it took, from 0.")
    ] = None


class SkipView(View):
    """Why nothing ran, and for which instants."""

    reason: str
    from_: Annotated[Instant, Field(alias="from")]
    to: Instant
    count: int
    paused: Annotated[PauseView | None, Field(description="The pause that it was skipped for.")] = (
        None
    )


class OriginView(View):
    """The execution that this one repeats."""

    kind: Annotated[str, Field(examples=["replay", "rerun"])]
    execution_id: str
    action: Annotated[str | None, Field(description="From which action on.")] = None


class EndingView(View):
    """The end that an execution comes to once its compensations have run."""

    status: Annotated[str, Field(examples=["failed", "cancelled"])]
    undoing: list[str]
    error: FailureView | None = None


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
    deadline: Annotated[Instant | None, Field(description="When its timeout ends it.")] = None
    origin: OriginView | None = None
    ending: EndingView | None = None
    error: FailureView | None = None
    skipped: SkipView | None = None


class ExecutionView(ExecutionSummary):
    """An execution with its actions and its history."""

    input: JsonValue = None
    runner: Annotated[str | None, Field(description="The runner that holds it now.")] = None
    actions: list[ActionView]
    history: list[EventView]


class HistoryView(View):
    """The events of an execution, and its state after one of them if that was asked for."""

    execution_id: str
    events: list[EventView]
    state: Annotated[
        ExecutionView | None, Field(description="What the events up to `at` lead to.")
    ] = None


class WhyView(View):
    """Why an execution is where it is."""

    execution_id: str
    status: str
    why: Annotated[
        str,
        Field(examples=["The delay 'cool-down' lasts until 2026-11-21T09:00:00.000Z."]),
    ]
    until: Annotated[
        Instant | None,
        Field(
            description="When something happens by itself, at the latest; "
            "not there if nothing does before somebody answers."
        ),
    ] = None


class InconsistencyView(View):
    """An execution whose stored state is not what its history leads to."""

    execution_id: str
    differences: list[str]


class VerificationView(View):
    """What came of verifying a page of executions; `nextCursor` is there if more follow."""

    checked: int
    inconsistent: list[InconsistencyView]
    next_cursor: str | None = None


def execution_summary(execution: Execution) -> ExecutionSummary:
    """Show an execution in a list."""
    return ExecutionSummary(**_summary(execution))


def execution_view(execution: Execution) -> ExecutionView:
    """Show an execution with all there is to know; items stand with their forEach."""
    counts = {key: state.items for key, state in execution.actions.items()}
    items = {item_key(key, n) for key, count in counts.items() for n in range(count or 0)}
    return ExecutionView(
        **_summary(execution),
        input=execution.input,
        runner=execution.lease.owner if execution.lease else None,
        actions=[
            _action(execution, key, state)
            for key, state in execution.actions.items()
            if key not in items
        ],
        history=[event_view(event) for event in execution.history],
    )


def event_view(event: HistoryEvent) -> EventView:
    """Show an event."""
    return EventView(
        seq=event.seq,
        type=event.type.value,
        at=event.at,
        action=event.action,
        attempt=event.attempt,
        runner=event.runner,
        started_at=event.started_at,
        next_attempt_at=event.next_attempt_at,
        output=event.output,
        digest=event.digest,
        error=_failure(event.error),
        reason=event.reason,
        retries_left=event.retries_left,
        count=event.items,
        tolerated=event.tolerated or None,
        undoing=list(event.undoing) or None,
        deadline=event.deadline,
        tzdata=event.tzdata,
        slot=event.slot,
        place=event.place,
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
        "deadline": execution.deadline,
        "origin": _origin(execution.origin),
        "ending": _ending(execution.ending),
        "error": _failure(execution.error),
        "skipped": _skip(execution.skip),
    }


def _action(execution: Execution, key: str, state: ActionState) -> ActionView:
    begun = ((n, item_key(key, n)) for n in range(state.items or 0))
    items = [
        ItemView(**_state(item, execution.actions[item], execution.actions[item].output), index=n)
        for n, item in begun
        if item in execution.actions
    ]
    return ActionView(
        **_state(key, state, output_of(execution, key)),
        count=state.items,
        items=items if state.items is not None else None,
    )


def _state(key: str, state: ActionState, output: JsonValue) -> dict[str, Any]:
    return {
        "id": key,
        "status": state.status.value,
        "attempts": state.attempts,
        "started_at": state.started_at,
        "finished_at": state.finished_at,
        "next_attempt_at": state.next_attempt_at,
        "output": output,
        "error": _failure(state.error),
        "reason": state.reason,
        "tolerated": state.tolerated or None,
    }


def _failure(failure: Failure | None) -> FailureView | None:
    return (
        FailureView(category=failure.category.value, message=failure.message) if failure else None
    )


def _skip(skip: Skip | None) -> SkipView | None:
    if skip is None:
        return None
    return SkipView(
        reason=skip.reason.value,
        from_=skip.first,
        to=skip.last,
        count=skip.count,
        paused=pause_view(skip.paused),
    )


def _origin(origin: Origin | None) -> OriginView | None:
    if origin is None:
        return None
    return OriginView(kind=origin.kind, execution_id=origin.execution_id, action=origin.action)


def _ending(ending: Ending | None) -> EndingView | None:
    if ending is None:
        return None
    return EndingView(
        status=ending.status.value, undoing=list(ending.undoing), error=_failure(ending.error)
    )
