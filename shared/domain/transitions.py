"""The legal transitions of an execution, as a table, and each as a pure function.

Every function makes an event and returns the state it leads to, with the event
appended to the history. An adapter stores both in one atomic update, so a crash
leaves either the old state or the new one, never a mixture.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Required, TypedDict, Unpack

from pydantic import JsonValue

from shared.domain.errors import IllegalTransition
from shared.domain.execution import (
    HOLDING,
    UNFINISHED,
    EventType,
    Execution,
    Failure,
    HistoryEvent,
    Lease,
    Skip,
    SkipReason,
    Status,
)
from shared.domain.history import active_key, buffer_key, changes_of
from shared.domain.identity import digest


@dataclass(frozen=True, slots=True)
class Transition:
    """From which statuses an event may happen, and the status it leads to (None: the same)."""

    sources: frozenset[Status]
    target: Status | None = None


_BUFFERED: Final = frozenset({Status.BUFFERED})
_RUNNING: Final = frozenset({Status.RUNNING})
_SUSPENDED: Final = frozenset({Status.PENDING, Status.WAITING})
_QUIET: Final = _SUSPENDED | {Status.QUEUED}

TRANSITIONS: Final[Mapping[EventType, Transition]] = MappingProxyType(
    {
        EventType.SKIPPED: Transition(_BUFFERED, Status.SKIPPED),
        EventType.PROMOTED: Transition(_BUFFERED, Status.QUEUED),
        EventType.CLAIMED: Transition(_QUIET, Status.RUNNING),
        EventType.RECOVERED: Transition(_RUNNING, Status.RUNNING),
        EventType.RELEASED: Transition(_RUNNING, Status.QUEUED),
        EventType.ACTION_STARTED: Transition(_RUNNING),
        EventType.ACTION_EXPANDED: Transition(_RUNNING),
        EventType.ACTION_COMPLETED: Transition(_RUNNING | _QUIET),
        EventType.ACTION_REUSED: Transition(frozenset({Status.QUEUED}) | _BUFFERED),
        EventType.ACTION_FAILED: Transition(_RUNNING | _QUIET),
        EventType.ACTION_SKIPPED: Transition(_RUNNING),
        EventType.ACTION_WAITING: Transition(_RUNNING),
        EventType.ACTION_UNKNOWN: Transition(_RUNNING),
        EventType.ACTION_RESOLVED: Transition(_QUIET, Status.QUEUED),
        EventType.RETRY_SCHEDULED: Transition(_RUNNING, Status.PENDING),
        EventType.WAITING: Transition(_RUNNING, Status.WAITING),
        EventType.COMPENSATION_STARTED: Transition(_RUNNING),
        EventType.CANCEL_REQUESTED: Transition(HOLDING, Status.QUEUED),
        EventType.RETRIED: Transition(frozenset({Status.FAILED}), Status.QUEUED),
        EventType.COMPLETED: Transition(_RUNNING, Status.COMPLETED),
        EventType.FAILED: Transition(_RUNNING, Status.FAILED),
        EventType.CANCELLED: Transition(UNFINISHED, Status.CANCELLED),
    }
)
"""Births are not in the table: see `queue`, `buffer` and `skip`."""


def apply(execution: Execution, event: HistoryEvent, **coordination: Any) -> Execution:
    """Return the state that follows an event. Raises IllegalTransition.

    This is all of event sourcing here: folding it over a history gives the state.
    What is changed besides, for `coordination`, leaves no trace in the history.
    """
    transition = TRANSITIONS[event.type]
    if execution.status not in transition.sources:
        raise IllegalTransition(event.type.value, execution.status.value)
    changes = changes_of(execution, event)
    changes.update(coordination)
    changes["seq"] = event.seq
    changes["history"] = (*execution.history, event)
    if transition.target is not None:
        changes["status"] = transition.target
    return execution.evolve(**changes)


def queue(execution: Execution, wake_at: datetime, tzdata: str | None = None) -> Execution:
    """Return a new execution, queued, to be looked at again at `wake_at`."""
    born = HistoryEvent(
        1,
        EventType.QUEUED,
        execution.created_at,
        retries_left=execution.retries_left,
        deadline=execution.deadline,
        tzdata=tzdata,
    )
    return execution.evolve(status=Status.QUEUED, wake_at=wake_at, seq=1, history=(born,))


def take_slot(execution: Execution, slot: int) -> Execution:
    """Return a new execution that takes another slot of its workflow than the first."""
    if slot == 0:
        return execution
    born = execution.history[0]._replace(slot=slot)
    return execution.evolve(
        active_key=active_key(execution, born), history=(born, *execution.history[1:])
    )


def buffer(execution: Execution, place: int) -> Execution:
    """Return a new execution, queued, as one that has to wait in its workflow's buffer first."""
    born = execution.history[0]._replace(type=EventType.BUFFERED, place=place)
    return execution.evolve(
        status=Status.BUFFERED,
        active_key=None,
        buffer_key=buffer_key(execution, born),
        history=(born, *execution.history[1:]),
    )


def promote(execution: Execution, slot: int, now: datetime, wake_at: datetime) -> Execution:
    """Return a buffered execution queued, in a slot of its workflow.

    The time that it waited does not count against its timeout.
    """
    waited = now - execution.created_at
    deadline = execution.deadline + waited if execution.deadline else None
    event = HistoryEvent(
        execution.seq + 1, EventType.PROMOTED, now, slot=slot or None, deadline=deadline
    )
    return apply(execution, event, wake_at=wake_at, resends=0)


def supersede(execution: Execution, now: datetime, retention: timedelta) -> Execution:
    """Return a buffered execution as one that does not run, because a newer one does."""
    reason = SkipReason.SUPERSEDED.value
    event = HistoryEvent(execution.seq + 1, EventType.SKIPPED, now, reason=reason)
    return apply(execution, event, wake_at=None, expires_at=now + retention)


def skip(
    execution: Execution, reason: Skip, retention: timedelta, tzdata: str | None = None
) -> Execution:
    """Return a new execution that records why an occurrence did not run."""
    at = execution.created_at
    born = HistoryEvent(1, EventType.SKIPPED, at, reason=reason.reason.value, tzdata=tzdata)
    return execution.evolve(
        status=Status.SKIPPED,
        skip=reason,
        active_key=None,
        buffer_key=None,
        wake_at=None,
        retries_left=0,
        deadline=None,
        seq=1,
        finished_at=at,
        expires_at=at + retention,
        history=(born,),
    )


def is_claimable(execution: Execution, now: datetime) -> bool:
    """Tell whether a runner may claim: queued, waited long enough, or its lease has run out."""
    match execution.status:
        case Status.QUEUED:
            return True
        case Status.PENDING | Status.WAITING:
            return execution.next_attempt_at is not None and execution.next_attempt_at <= now
        case Status.RUNNING:
            return execution.lease is not None and execution.lease.until <= now
        case _:
            return False


def claim(execution: Execution, lease: Lease, now: datetime) -> Execution:
    """Return the execution in the hands of a runner; from an expired lease it is a recovery."""
    recovered = execution.status is Status.RUNNING
    event = EventType.RECOVERED if recovered else EventType.CLAIMED
    happened = HistoryEvent(execution.seq + 1, event, now, runner=lease.owner)
    return apply(execution, happened, lease=lease, wake_at=lease.until, resends=0)


def release(execution: Execution, now: datetime) -> Execution:
    """Return the execution given back unfinished, for another runner to claim at once."""
    event = HistoryEvent(execution.seq + 1, EventType.RELEASED, now)
    return apply(execution, event, **_let_go(execution, wake_at=now))


def start_action(execution: Execution, action: str, now: datetime) -> Execution:
    """Return the execution with the intent of an at-most-once call recorded."""
    return happen(execution, EventType.ACTION_STARTED, now, action=action)


def complete_action(
    execution: Execution,
    action: str,
    *,
    attempt: int,
    started_at: datetime | None,
    output: JsonValue,
    now: datetime,
    retries_left: int | None = None,
) -> Execution:
    """Return the execution with the success of an action recorded.

    `retries_left` are those of the action that runs next, if there is one.
    """
    event = HistoryEvent(
        execution.seq + 1,
        EventType.ACTION_COMPLETED,
        now,
        action=action,
        attempt=attempt,
        started_at=started_at,
        output=output,
        digest=None if output is None else digest(output),
        retries_left=retries_left,
    )
    return apply(execution, event)


class FailedAttempt(TypedDict, total=False):
    """What is known of a failed attempt; without a `next_attempt_at` it was the last."""

    attempt: Required[int]
    started_at: datetime | None
    next_attempt_at: datetime | None
    retries_left: int | None
    tolerated: bool


def fail_action(
    execution: Execution,
    action: str,
    failure: Failure,
    now: datetime,
    **details: Unpack[FailedAttempt],
) -> Execution:
    """Return the execution with one failed attempt recorded.

    It is final, tolerated or not, unless `details` say when it is made again.
    """
    return happen(execution, EventType.ACTION_FAILED, now, action=action, error=failure, **details)


def suspend(
    execution: Execution, event: EventType, until: datetime, now: datetime, **details: Any
) -> Execution:
    """Return the execution in nobody's hands until an instant: in backoff, or waiting."""
    happened = HistoryEvent(execution.seq + 1, event, now, next_attempt_at=until, **details)
    return apply(execution, happened, **_let_go(execution, wake_at=until))


def start_compensation(
    execution: Execution, undoing: Iterable[str], failure: Failure, now: datetime
) -> Execution:
    """Return the execution on its way to fail, once what it did is undone."""
    return happen(
        execution, EventType.COMPENSATION_STARTED, now, undoing=tuple(undoing), error=failure
    )


def request_cancel(execution: Execution, undoing: Iterable[str], now: datetime) -> Execution:
    """Return the execution on its way to be cancelled, up for a runner to undo what it did."""
    event = HistoryEvent(execution.seq + 1, EventType.CANCEL_REQUESTED, now, undoing=tuple(undoing))
    return apply(execution, event, **_let_go(execution, wake_at=now))


def complete(execution: Execution, now: datetime, retention: timedelta) -> Execution:
    """Return the execution completed; it no longer holds its workflow."""
    return _end(execution, EventType.COMPLETED, None, now, retention)


def fail(execution: Execution, failure: Failure, now: datetime, retention: timedelta) -> Execution:
    """Return the execution failed for good; it no longer holds its workflow."""
    return _end(execution, EventType.FAILED, failure, now, retention)


def cancel(
    execution: Execution, now: datetime, retention: timedelta, failure: Failure | None = None
) -> Execution:
    """Return the execution cancelled; whatever its runner still reports is refused."""
    return _end(execution, EventType.CANCELLED, failure, now, retention)


def happen(execution: Execution, event: EventType, now: datetime, **details: Any) -> Execution:
    """Return the state after a new event. Raises IllegalTransition."""
    return apply(execution, HistoryEvent(execution.seq + 1, event, now, **details))


def requeue(execution: Execution, now: datetime) -> Execution:
    """Return a queued execution in nobody's hands, to be looked at now."""
    return execution.evolve(**_let_go(execution, wake_at=now), expires_at=None, resends=0)


def _end(
    execution: Execution,
    event: EventType,
    failure: Failure | None,
    now: datetime,
    retention: timedelta,
) -> Execution:
    ended = HistoryEvent(execution.seq + 1, event, now, error=failure)
    gone = _let_go(execution, wake_at=None)
    return apply(execution, ended, **gone, expires_at=now + retention)


def _let_go(execution: Execution, wake_at: datetime | None) -> dict[str, Any]:
    token = execution.lease.token if execution.lease else execution.last_token
    return {"lease": None, "last_token": token, "wake_at": wake_at}
