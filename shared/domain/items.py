"""The items of a forEach: which of them run next, and what all of them together come to."""

from collections.abc import Collection, Iterator
from datetime import datetime

from pydantic import JsonValue

from shared.domain import transitions
from shared.domain.definition import ActionDefinition, OnError
from shared.domain.execution import (
    ActionStatus,
    Execution,
    Failure,
    SkippedBecause,
)
from shared.domain.fate import attempt_due, has_ended
from shared.domain.landing import skip
from shared.domain.outcomes import MAX_MESSAGE, Call, item_key


def item_calls(
    execution: Execution,
    action: ActionDefinition,
    count: int,
    in_flight: Collection[str],
    now: datetime,
) -> Iterator[Call]:
    """Yield the items to call now, as many as the forEach's own limit leaves room for."""
    if action.for_each is None:
        raise ValueError(f"'{action.key}' has no items")
    keys = [item_key(action.key, index) for index in range(count)]
    room = action.for_each.concurrency - sum(key in in_flight for key in keys)
    stopped = action.on_error is not OnError.CONTINUE and _first_failure(execution, keys)
    for index, key in enumerate(keys):
        if room <= 0 or stopped:
            return
        attempt = attempt_due(execution.actions.get(key), now)
        if attempt is not None and key not in in_flight:
            room -= 1
            yield Call(action, key, attempt, index)


def join_items(
    execution: Execution, action: ActionDefinition, in_flight: Collection[str], now: datetime
) -> Execution:
    """Return the state with the forEach ended, if its items leave nothing to wait for."""
    parent = execution.actions[action.key]
    keys = [item_key(action.key, index) for index in range(parent.items or 0)]
    if any(key in in_flight for key in keys):
        return execution
    failed = _first_failure(execution, keys)
    if failed and action.on_error is not OnError.CONTINUE:
        execution = _give_up_items(execution, keys, now)
    elif not all(has_ended(execution, key) for key in keys):
        return execution
    if any(_is(execution, key, ActionStatus.UNKNOWN) for key in keys):
        return execution
    if not failed:
        return transitions.complete_action(
            execution, action.key, attempt=1, started_at=parent.started_at, output=None, now=now
        )
    key, failure = failed
    return transitions.fail_action(
        execution,
        action.key,
        Failure(failure.category, f"{key}: {failure.message}"[:MAX_MESSAGE]),
        now,
        attempt=1,
        started_at=parent.started_at,
        tolerated=action.on_error is OnError.CONTINUE,
    )


def output_of(execution: Execution, action_id: str) -> JsonValue:
    """Return what an action gave: of a forEach, the list of what its items gave."""
    state = execution.actions.get(action_id)
    if state is None:
        return None
    if state.items is None:
        return state.output
    items = (execution.actions.get(item_key(action_id, index)) for index in range(state.items))
    return [item.output if item else None for item in items]


def _give_up_items(execution: Execution, keys: list[str], now: datetime) -> Execution:
    for key in keys:
        state = execution.actions.get(key)
        if state and state.status in {ActionStatus.PENDING, ActionStatus.WAITING}:
            execution = skip(execution, key, SkippedBecause.STOPPED, now)
    return execution


def _first_failure(execution: Execution, keys: list[str]) -> tuple[str, Failure] | None:
    for key in keys:
        state = execution.actions.get(key)
        if state and state.status is ActionStatus.FAILED and state.error:
            return key, state.error
    return None


def _is(execution: Execution, key: str, status: ActionStatus) -> bool:
    state = execution.actions.get(key)
    return state is not None and state.status is status
