"""Undoing what an execution did (a saga): the last action to complete is undone first.

Each compensation is an action of its own, with its own state and retries. One that
fails for good is recorded and does not keep the others from running.
"""

from collections.abc import Collection, Iterator
from datetime import datetime

from shared.domain import transitions
from shared.domain.definition import ActionDefinition
from shared.domain.execution import (
    ActionStatus,
    Ending,
    ErrorCategory,
    Execution,
    Failure,
    Status,
)
from shared.domain.fate import attempt_due, has_ended
from shared.domain.outcomes import MAX_MESSAGE, Call, Timing
from shared.domain.plan import Plan


def to_undo(plan: Plan, execution: Execution, started: Collection[str] = ()) -> tuple[str, ...]:
    """Return the actions to undo, the last one to complete first.

    `started` are those that may have had their effect although no outcome is recorded.
    """
    completed = [
        (execution.actions[key].ended_seq, key)
        for key in plan.undoing
        if key in execution.actions and execution.actions[key].status is ActionStatus.COMPLETED
    ]
    uncertain = tuple(key for key in plan.undoing if key in started)
    return uncertain + tuple(key for _, key in sorted(completed, reverse=True))


def fail_or_undo(
    plan: Plan,
    execution: Execution,
    failure: Failure,
    now: datetime,
    timing: Timing,
    *,
    undo: bool,
) -> Execution:
    """Fail an execution, by way of its compensations if there are any to run."""
    undoing = to_undo(plan, execution) if undo else ()
    if not undoing:
        return transitions.fail(execution, failure, now, timing.retention)
    return transitions.start_compensation(execution, undoing, failure, now)


def advance(
    plan: Plan, execution: Execution, in_flight: Collection[str], now: datetime, timing: Timing
) -> Execution:
    """Return the state after the last compensation: the end the execution was on its way to."""
    ending = execution.ending
    if ending is None:
        raise ValueError("the execution is not compensating")
    if in_flight or any(not has_ended(execution, undo.key) for undo in _all(plan, ending)):
        return execution
    failure = _failure(plan, execution, ending)
    if ending.status is Status.CANCELLED:
        return transitions.cancel(execution, now, timing.retention, failure)
    lasting = failure or Failure(ErrorCategory.PERMANENT, "failed")
    return transitions.fail(execution, lasting, now, timing.retention)


def next_calls(
    plan: Plan, execution: Execution, in_flight: Collection[str], now: datetime
) -> list[Call]:
    """Return the one compensation that is next, unless it runs, waits or was the last."""
    if in_flight or execution.ending is None:
        return []
    for undo in _all(plan, execution.ending):
        attempt = attempt_due(execution.actions.get(undo.key), now)
        if attempt is not None:
            return [Call(undo, undo.key, attempt)]
        if not has_ended(execution, undo.key):
            return []
    return []


def _all(plan: Plan, ending: Ending) -> Iterator[ActionDefinition]:
    for key in ending.undoing:
        yield from plan.undoing[key]


def _failure(plan: Plan, execution: Execution, ending: Ending) -> Failure | None:
    failed = [
        f"'{undo.key}' ({state.error.message})"
        for undo in _all(plan, ending)
        if (state := execution.actions[undo.key]).status is ActionStatus.FAILED and state.error
    ]
    if not failed:
        return ending.error
    why = f"; the execution failed because: {ending.error.message}" if ending.error else ""
    said = f"compensations failed: {', '.join(failed)}{why}"
    return Failure(ErrorCategory.COMPENSATION_FAILED, said[:MAX_MESSAGE])
