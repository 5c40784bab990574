"""The engine: what an execution does next, decided from its plan and its state alone.

A runner repeats: `advance` draws the conclusions that need nobody's help, `next_calls`
names the calls to make, and `landing.after_call` records what one of them led to. When nothing
is under way and nothing can start, `suspend` lets go of the execution until an instant.
"""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Final

from shared.domain import compensation, transitions
from shared.domain.definition import ActionDefinition, OnError, RunIf
from shared.domain.execution import (
    ActionState,
    ActionStatus,
    ErrorCategory,
    EventType,
    Execution,
    Failure,
    SkippedBecause,
    Status,
)
from shared.domain.fate import (
    attempt_due,
    failed_first,
    fate_of,
    has_ended,
    has_failed,
    is_failed,
    is_untroubled,
)
from shared.domain.instants import format_instant
from shared.domain.items import item_calls, join_items
from shared.domain.landing import lose_track, skip
from shared.domain.outcomes import (
    Call,
    Timing,
)
from shared.domain.plan import Plan

LOOK_AGAIN: Final = timedelta(days=1)
"""How long an execution that waits for a person rests before a runner looks at it again."""


def advance(
    plan: Plan,
    execution: Execution,
    in_flight: Collection[str],
    now: datetime,
    timing: Timing,
) -> Execution:
    """Return the state after all that follows by itself: ended timers, skips, joins, the end.

    `in_flight` are the keys whose calls are under way.
    """
    late = execution.deadline is not None and now >= execution.deadline
    if not late and is_untroubled(plan, execution):
        done = not in_flight and plan.actions.keys() <= execution.actions.keys()
        return transitions.complete(execution, now, timing.retention) if done else execution
    execution = _settle_each(execution, in_flight, now)
    if execution.ending is not None:
        return compensation.advance(plan, execution, in_flight, now, timing)
    if late:
        return _time_out(plan, execution, now, timing)
    before = None
    while before is not execution:
        before = execution
        for action in plan.actions.values():
            execution = _settle(plan, execution, action, in_flight, now)
    if in_flight or not all(has_ended(execution, key) for key in plan.actions):
        return execution
    return _end(plan, execution, now, timing)


def next_calls(
    plan: Plan, execution: Execution, in_flight: Collection[str], now: datetime
) -> list[Call]:
    """Return the calls to start now, at most as many as the workflow's concurrency allows."""
    if execution.status is not Status.RUNNING:
        return []
    if execution.ending is not None:
        return compensation.next_calls(plan, execution, in_flight, now)
    if plan.is_chain and is_untroubled(plan, execution):
        return _next_of_chain(plan, execution, in_flight)
    room = plan.concurrency - len(in_flight)
    found: list[Call] = []
    stopping = has_failed(plan, execution)
    for action in plan.actions.values():
        if len(found) >= room:
            break
        found += _calls_of(plan, execution, action, in_flight, now, stopping=stopping)
    return found[: max(room, 0)]


def suspend(plan: Plan, execution: Execution, now: datetime) -> Execution:
    """Return the execution let go of: in backoff, or waiting for a timer or a person."""
    waiting = [state for state in execution.actions.values() if not state.ended]
    until = min((s.next_attempt_at for s in waiting if s.next_attempt_at), default=now + LOOK_AGAIN)
    if execution.deadline is not None and execution.ending is None:
        until = min(until, execution.deadline)
    backoff = _next_in_backoff(execution)
    if backoff is None:
        return transitions.suspend(execution, EventType.WAITING, until, now)
    key, state = backoff
    left = max(plan.retry_policy(plan.action(key)).retries - state.attempts, 0)
    return transitions.suspend(
        execution,
        EventType.RETRY_SCHEDULED,
        until,
        now,
        action=key,
        attempt=state.attempts + 1,
        retries_left=left,
        error=state.error,
    )


def next_instant(execution: Execution, now: datetime) -> datetime | None:
    """Return when, after `now`, something happens by itself: a retry, a timer, the deadline."""
    first = execution.deadline if execution.ending is None else None
    if first is not None and first <= now:
        first = None
    for state in execution.actions.values():
        at = state.next_attempt_at
        if at is not None and now < at and not state.ended and (first is None or at < first):
            first = at
    return first


def is_lost(execution: Execution, timing: Timing) -> bool:
    """Tell whether so many runners vanished under this execution that it must not run again."""
    return execution.recoveries > timing.max_recoveries


def give_up(plan: Plan | None, execution: Execution, now: datetime, timing: Timing) -> Execution:
    """Fail an execution that keeps killing its runners, undoing first what it did."""
    message = f"{execution.recoveries} runners in a row vanished while they ran this execution"
    failure = Failure(ErrorCategory.RUNNER_LOST, message)
    if plan is None or execution.ending is not None:
        return transitions.fail(execution, failure, now, timing.retention)
    return compensation.fail_or_undo(plan, execution, failure, now, timing, undo=True)


def _settle_each(execution: Execution, in_flight: Collection[str], now: datetime) -> Execution:
    """End the timers that are due, and notice intents whose runner is gone."""
    for key, state in execution.actions.items():
        if state.status is ActionStatus.WAITING:
            if state.next_attempt_at is not None and state.next_attempt_at <= now:
                execution = transitions.complete_action(
                    execution,
                    key,
                    attempt=state.attempts,
                    started_at=state.started_at,
                    output={"until": format_instant(state.next_attempt_at)},
                    now=now,
                )
        elif state.status is ActionStatus.STARTED and key not in in_flight:
            said = "its runner vanished during the call, which must not be made twice"
            execution = lose_track(execution, key, said, now, state.attempts + 1)
    return execution


def _settle(
    plan: Plan,
    execution: Execution,
    action: ActionDefinition,
    in_flight: Collection[str],
    now: datetime,
) -> Execution:
    """Skip an action that is not to run any more, or join the items of a forEach."""
    key = action.key
    state = execution.actions.get(key)
    if state is None:
        if key in in_flight:
            return execution
        fate = fate_of(plan, execution, action, stopping=has_failed(plan, execution))
        return skip(execution, key, fate, now) if isinstance(fate, SkippedBecause) else execution
    if state.status is ActionStatus.EXPANDED:
        return join_items(execution, action, in_flight, now)
    given_up = state.status in {ActionStatus.PENDING, ActionStatus.WAITING}
    given_up = given_up and action.run_if is RunIf.SUCCESS and key not in in_flight
    if given_up and has_failed(plan, execution):
        return skip(execution, key, SkippedBecause.STOPPED, now)
    return execution


def _next_of_chain(plan: Plan, execution: Execution, in_flight: Collection[str]) -> list[Call]:
    for key in plan.order:
        if key not in execution.actions:
            return [] if key in in_flight else [Call(plan.actions[key], key, 1)]
    return []


def _calls_of(
    plan: Plan,
    execution: Execution,
    action: ActionDefinition,
    in_flight: Collection[str],
    now: datetime,
    *,
    stopping: bool,
) -> Iterator[Call]:
    key = action.key
    state = execution.actions.get(key)
    if state is not None and state.status is ActionStatus.EXPANDED:
        yield from item_calls(execution, action, state.items or 0, in_flight, now)
        return
    attempt = attempt_due(state, now)
    if attempt is None or key in in_flight:
        return
    if state is not None or fate_of(plan, execution, action, stopping=stopping) is True:
        yield Call(action, key, attempt)


def _time_out(plan: Plan, execution: Execution, now: datetime, timing: Timing) -> Execution:
    deadline = format_instant(execution.deadline) if execution.deadline else ""
    failure = Failure(ErrorCategory.TIMEOUT, f"the execution was not done by {deadline}")
    return compensation.fail_or_undo(plan, execution, failure, now, timing, undo=True)


def _end(plan: Plan, execution: Execution, now: datetime, timing: Timing) -> Execution:
    failed = failed_first(plan, execution)
    if failed is None:
        return transitions.complete(execution, now, timing.retention)
    failure = execution.actions[failed].error or Failure(ErrorCategory.PERMANENT, "failed")
    undo = any(
        action.on_error is OnError.COMPENSATE and is_failed(execution, key)
        for key, action in plan.actions.items()
    )
    return compensation.fail_or_undo(plan, execution, failure, now, timing, undo=undo)


def _next_in_backoff(execution: Execution) -> tuple[str, ActionState] | None:
    """Return the failed call that is made again first."""
    pending = [
        (state.next_attempt_at, key, state)
        for key, state in execution.actions.items()
        if state.status is ActionStatus.PENDING and state.next_attempt_at is not None
    ]
    return min(pending, key=lambda found: found[:2])[1:] if pending else None
