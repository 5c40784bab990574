"""What one call led to, on record: success, a retry, a final failure, a timer, a skip."""

from datetime import datetime

from shared.domain import transitions
from shared.domain.definition import OnError
from shared.domain.execution import (
    RETRIED,
    ErrorCategory,
    EventType,
    Execution,
    Failure,
    SkippedBecause,
)
from shared.domain.fate import has_ended
from shared.domain.outcomes import (
    Attempt,
    Expanded,
    Failed,
    NotWanted,
    Succeeded,
    Uncertain,
    WaitsUntil,
)
from shared.domain.plan import Plan
from shared.domain.retry import next_attempt_at


def after_call(plan: Plan, execution: Execution, attempt: Attempt, spread: float) -> Execution:
    """Return the state after one call ended. `spread` is drawn from [0, 1), for the backoff."""
    key, now, started_at = attempt.call.key, attempt.ended_at, attempt.started_at
    match attempt.outcome:
        case Succeeded(output=output):
            return transitions.complete_action(
                execution,
                key,
                attempt=attempt.call.attempt,
                started_at=started_at,
                output=output,
                now=now,
                retries_left=_retries_of_next(plan, execution, key),
            )
        case NotWanted():
            return skip(execution, key, SkippedBecause.CONDITION, now)
        case Expanded(count=count):
            return transitions.happen(
                execution,
                EventType.ACTION_EXPANDED,
                now,
                action=key,
                started_at=started_at,
                items=count,
            )
        case WaitsUntil(until=until):
            return transitions.happen(
                execution,
                EventType.ACTION_WAITING,
                now,
                action=key,
                attempt=attempt.call.attempt,
                started_at=started_at,
                next_attempt_at=until,
            )
        case Uncertain(message=message):
            return lose_track(execution, key, message, now, attempt.call.attempt)
        case Failed() as failed:
            return _after_failure(plan, execution, attempt, failed, spread)


def skip(execution: Execution, key: str, why: SkippedBecause, now: datetime) -> Execution:
    """Return the state with an action skipped."""
    return transitions.happen(
        execution, EventType.ACTION_SKIPPED, now, action=key, reason=why.value
    )


def lose_track(execution: Execution, key: str, said: str, now: datetime, attempt: int) -> Execution:
    """Return the state with a call whose outcome nobody knows."""
    failure = Failure(ErrorCategory.UNKNOWN_OUTCOME, said)
    return transitions.happen(
        execution, EventType.ACTION_UNKNOWN, now, action=key, attempt=attempt, error=failure
    )


def _after_failure(
    plan: Plan, execution: Execution, attempt: Attempt, failed: Failed, spread: float
) -> Execution:
    action, number = attempt.call.action, attempt.call.attempt
    policy = plan.retry_policy(action)
    endless = action.on_error is OnError.RETRY
    retry_at = None
    if failed.category in RETRIED:
        retry_at = next_attempt_at(
            policy,
            failures=number,
            now=attempt.ended_at,
            spread=spread,
            retry_after=failed.retry_after,
            at_once=failed.category is ErrorCategory.TRANSIENT and number == 1,
            endless=endless,
        )
    return transitions.fail_action(
        execution,
        attempt.call.key,
        failed.failure,
        attempt.ended_at,
        attempt=number,
        started_at=attempt.started_at,
        next_attempt_at=retry_at,
        retries_left=max(policy.retries - number, 0) if retry_at is not None else None,
        tolerated=retry_at is None and action.on_error is OnError.CONTINUE,
    )


def _retries_of_next(plan: Plan, execution: Execution, done: str) -> int | None:
    """Return the retries of the first action that is still to run after `done` completed."""
    if execution.ending is not None:
        return None
    for key in plan.order:
        if key != done and not has_ended(execution, key):
            return plan.retry_policy(plan.actions[key]).retries
    return None
