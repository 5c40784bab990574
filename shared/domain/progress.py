"""What happens next to an execution: which action runs, and what its outcome leads to."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pydantic import JsonValue

from shared.domain import transitions
from shared.domain.definition import ActionDefinition, WorkflowDefinition
from shared.domain.execution import ErrorCategory, Execution, Failure
from shared.domain.retry import next_attempt_at
from shared.domain.storable import storable_text

MAX_MESSAGE: Final = 2_000


@dataclass(frozen=True, slots=True)
class Timing:
    """The waits and limits that the core decides with; each is a setting."""

    lease: timedelta = timedelta(seconds=30)
    resend: timedelta = timedelta(seconds=30)
    resend_max: timedelta = timedelta(minutes=5)
    retention: timedelta = timedelta(days=30)
    max_recoveries: int = 5


@dataclass(frozen=True, slots=True)
class Succeeded:
    """An action did its work; `output` is what it returned."""

    output: JsonValue


@dataclass(frozen=True, slots=True)
class Failed:
    """An action did not do its work; a retryable one may ask for a wait."""

    category: ErrorCategory
    message: str
    retry_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call of one action: when it began, when it ended and how."""

    action: ActionDefinition
    started_at: datetime
    ended_at: datetime
    outcome: Succeeded | Failed


def next_action(definition: WorkflowDefinition, execution: Execution) -> ActionDefinition | None:
    """Return the first action whose success is not recorded, or None if all are done."""
    return next((a for a in definition.actions if not execution.is_completed(a.key)), None)


def initial_retries(definition: WorkflowDefinition) -> int:
    """Return how many retries the first action of a new execution has."""
    return definition.retry_policy(definition.actions[0]).retries


def is_lost(execution: Execution, timing: Timing) -> bool:
    """Tell whether so many runners vanished under this execution that it must not run again."""
    return execution.recoveries > timing.max_recoveries


def give_up(execution: Execution, now: datetime, timing: Timing) -> Execution:
    """Fail an execution that keeps killing its runners."""
    runners = execution.recoveries
    message = f"{runners} runners in a row vanished while they ran this execution"
    failure = Failure(ErrorCategory.RUNNER_LOST, message)
    return transitions.fail(execution, failure, now, timing.retention)


def after_attempt(
    definition: WorkflowDefinition,
    execution: Execution,
    attempt: Attempt,
    spread: float,
    timing: Timing,
) -> Execution:
    """Return the state after one call of an action.

    A success leads to the next action or completes the execution. A failure
    leads to a backoff while the action's policy has retries left and the error
    is retryable, else it fails the execution. `spread` is drawn from [0, 1).
    """
    if isinstance(attempt.outcome, Succeeded):
        return _after_success(definition, execution, attempt, attempt.outcome, timing)
    return _after_failure(definition, execution, attempt, attempt.outcome, spread, timing)


def resend_delay(resends: int, timing: Timing) -> timedelta:
    """Return how long to wait before a queued execution is announced once more."""
    doubled: int = 1 << min(resends, 30)
    return min(timing.resend * doubled, timing.resend_max)


def _after_success(
    definition: WorkflowDefinition,
    execution: Execution,
    attempt: Attempt,
    outcome: Succeeded,
    timing: Timing,
) -> Execution:
    recorded = transitions.complete_action(
        execution,
        attempt.action.key,
        started_at=attempt.started_at,
        output=outcome.output,
        now=attempt.ended_at,
    )
    following = next_action(definition, recorded)
    if following is None:
        return transitions.complete(recorded, attempt.ended_at, timing.retention)
    retries = definition.retry_policy(following).retries
    return recorded.evolve(attempt=1, retries_left=retries, error=None)


def _after_failure(
    definition: WorkflowDefinition,
    execution: Execution,
    attempt: Attempt,
    outcome: Failed,
    spread: float,
    timing: Timing,
) -> Execution:
    failure = Failure(outcome.category, storable_text(outcome.message[:MAX_MESSAGE]))
    retry_at = None
    if outcome.category is ErrorCategory.RETRYABLE:
        retry_at = next_attempt_at(
            definition.retry_policy(attempt.action),
            failures=execution.attempt,
            now=attempt.ended_at,
            spread=spread,
            retry_after=outcome.retry_after,
        )
    recorded = transitions.fail_action(
        execution,
        attempt.action.key,
        started_at=attempt.started_at,
        failure=failure,
        final=retry_at is None,
        now=attempt.ended_at,
    )
    if retry_at is None:
        return transitions.fail(recorded, failure, attempt.ended_at, timing.retention)
    return transitions.schedule_retry(recorded, retry_at, attempt.ended_at)
