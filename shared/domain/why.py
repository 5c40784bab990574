"""Why an execution is where it is, in one sentence: what it waits for, and until when."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shared.domain import engine
from shared.domain.definition import OnError
from shared.domain.execution import (
    ActionState,
    ActionStatus,
    EventType,
    Execution,
    Failure,
    SkipReason,
    Status,
)
from shared.domain.instants import format_instant
from shared.domain.plan import Plan

WHY_SKIPPED: Final[Mapping[SkipReason, str]] = {
    SkipReason.OVERLAP: "another execution held the workflow when it was due",
    SkipReason.MISSED: "nothing was there to start it when it was due",
    SkipReason.WINDOW: "its turn came later than its trigger catches up with",
    SkipReason.DISABLED: "the workflow was disabled when it was due",
    SkipReason.SUPERSEDED: "its trigger was replaced or deleted before it had started",
    SkipReason.PAUSED: "the workflow was paused when it was due",
    SkipReason.GAP: "the clocks were set forward over it",
}
_REPLACED: Final = "a newer one took its place before its turn had come"


@dataclass(frozen=True, slots=True)
class Why:
    """What an execution waits for, and the instant at which something happens by itself.

    There is none where only a person's answer is awaited, however often it is looked at.
    """

    sentence: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Queue:
    """What a buffered execution waits behind: those that run, and how many wait for longer."""

    running: tuple[str, ...] = ()
    waiting: int = 0


_NOBODY: Final = Queue()


def why(plan: Plan | None, execution: Execution, now: datetime, queue: Queue = _NOBODY) -> Why:
    """Explain the status of an execution. Without its plan, less is known of what runs."""
    match execution.status:
        case Status.BUFFERED:
            found = _buffered(execution, queue)
        case Status.QUEUED:
            found = _queued(execution)
        case Status.RUNNING:
            found = _running(plan, execution, now)
        case Status.PENDING | Status.WAITING:
            found = _suspended(plan, execution)
        case _:
            found = Why(_ended(execution))
    said = f"{_on_its_way(execution)}{found.sentence}."
    return Why(said[0].upper() + said[1:], found.until)


def _on_its_way(execution: Execution) -> str:
    """Say what comes after the compensations, while they run."""
    if execution.ending is None:
        return ""
    undone = ", ".join(f"'{key}'" for key in execution.ending.undoing)
    cause = _said(execution.ending.error) if execution.ending.error else "it is to be cancelled"
    return f"What {undone} did is being undone, because {cause}: "


def _buffered(execution: Execution, queue: Queue) -> Why:
    """There is no instant for it: that depends on how long others take."""
    since = format_instant(execution.created_at)
    behind = ", ".join(f"'{running}'" for running in queue.running)
    if queue.waiting:
        others = f"{queue.waiting} more that came before it"
        behind = f"{behind} and {others}" if behind else others
    if not behind:
        return Why(f"it has been buffered since {since}, and it is its turn")
    return Why(f"it has been buffered since {since}, and waits for its turn behind {behind}")


def _queued(execution: Execution) -> Why:
    since = execution.history[-1].at if execution.history else execution.created_at
    said = f"it has been queued since {format_instant(since)}, and no runner has taken it yet"
    if execution.wake_at is None:
        return Why(said)
    again = format_instant(execution.wake_at)
    return Why(f"{said}; the scheduler announces it again at {again}", execution.wake_at)


def _running(plan: Plan | None, execution: Execution, now: datetime) -> Why:
    what = ", ".join(f"'{key}'" for key in _under_way(plan, execution, now)) or "it"
    lease = execution.lease
    if lease is None:
        return Why(f"a runner runs {what}")
    until = format_instant(lease.until)
    if lease.until <= now:
        said = f"runner {lease.owner}, which ran {what}, let its lease end at {until}"
        return Why(f"{said}; the next runner takes over", execution.wake_at)
    instant = execution.scheduled_for
    if instant is not None and instant > now:
        said = f"runner {lease.owner} has it ready, and waits for its instant"
        return Why(f"{said}, {format_instant(instant)}", instant)
    said = f"runner {lease.owner} runs {what}, with a lease until {until} that it keeps renewing"
    return Why(said, lease.until)


def _under_way(plan: Plan | None, execution: Execution, now: datetime) -> list[str]:
    started = [
        key for key, state in execution.actions.items() if state.status is ActionStatus.STARTED
    ]
    if plan is None:
        return started
    return started + [call.key for call in engine.next_calls(plan, execution, (), now)]


def _suspended(plan: Plan | None, execution: Execution) -> Why:
    reasons = list(_reasons(plan, execution))
    asked = [said for said, until in reasons if until is None]
    timed = sorted((until, said) for said, until in reasons if until is not None)
    if not reasons:
        return Why("it is looked at again later", execution.next_attempt_at)
    said = "; ".join([*(said for _, said in timed), *asked])
    if timed:
        return Why(said, timed[0][0])
    if execution.deadline is None or execution.ending is not None:
        return Why(said)
    latest = execution.deadline
    said += f", at the latest by {format_instant(latest)}, when its timeout ends it"
    return Why(said, latest)


def _reasons(plan: Plan | None, execution: Execution) -> Iterator[tuple[str, datetime | None]]:
    for key, state in execution.actions.items():
        at = state.next_attempt_at
        if state.status is ActionStatus.PENDING and at is not None:
            yield _backoff(plan, execution, key, state, at), at
        elif state.status is ActionStatus.WAITING and at is not None:
            yield f"the delay '{key}' lasts until {format_instant(at)}", at
        elif state.status is ActionStatus.UNKNOWN:
            yield f"{_unknown(key, state)}, and waits for an operator's answer about that", None


def _unknown(key: str, state: ActionState) -> str:
    cause = f" ({state.error.message})" if state.error else ""
    return f"it does not know whether the call of '{key}' had its effect{cause}"


def _backoff(
    plan: Plan | None, execution: Execution, key: str, state: ActionState, at: datetime
) -> str:
    failure = _said(state.error) if state.error else "it did not succeed"
    left = _retries_left(plan, execution, key, state)
    return (
        f"'{key}' failed ({failure}) at attempt {state.attempts}; it is retried at "
        f"{format_instant(at)}, {left}"
    )


def _retries_left(plan: Plan | None, execution: Execution, key: str, state: ActionState) -> str:
    """Say how many retries there are after the one that is planned."""
    left = execution.retries_left
    if plan is not None:
        action = plan.action(key)
        if action.on_error is OnError.RETRY:
            return "and so on until it succeeds"
        left = max(plan.retry_policy(action).retries - state.attempts, 0)
    return f"with {left or 'no'} {'retry' if left == 1 else 'retries'} left after that"


def _ended(execution: Execution) -> str:
    at = format_instant(execution.finished_at) if execution.finished_at else "some time"
    cause = f": {_said(execution.error)}" if execution.error else ""
    if execution.skip is not None:
        waited = bool(execution.history) and execution.history[0].type is EventType.BUFFERED
        said = _REPLACED if waited else WHY_SKIPPED[execution.skip.reason]
        return f"it did not run ({execution.skip.reason}): {said}"
    if execution.status is Status.COMPLETED:
        return f"it completed at {at}: every action did what it was to do"
    ending = "was cancelled" if execution.status is Status.CANCELLED else "failed"
    return f"it {ending} at {at}{cause}"


def _said(failure: Failure) -> str:
    return f"{failure.message}, {failure.category}"
