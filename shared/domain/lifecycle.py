"""What the outside is told of an execution: the changes of its status that a subscriber follows.

A lifecycle event says nothing that the history does not. So it can be made again at any
time, with the same id and the same content, from what is stored.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from shared.domain.errors import PlatformError
from shared.domain.execution import EventType, Execution, Failure, HistoryEvent, Status
from shared.domain.fold import born
from shared.domain.transitions import apply


class Milestone(StrEnum):
    """The changes that are published.

    Not among them: claims after the first, recoveries, releases and answers, which
    pass an execution from hand to hand while it goes on.
    """

    BUFFERED = "buffered"
    QUEUED = "queued"
    SKIPPED = "skipped"
    STARTED = "started"
    RETRY_SCHEDULED = "retry-scheduled"
    WAITING = "waiting"
    CANCEL_REQUESTED = "cancel-requested"
    COMPENSATION_STARTED = "compensation-started"
    RETRIED = "retried"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


STATUS_AFTER: Final[Mapping[Milestone, Status]] = MappingProxyType(
    {
        Milestone.BUFFERED: Status.BUFFERED,
        Milestone.QUEUED: Status.QUEUED,
        Milestone.SKIPPED: Status.SKIPPED,
        Milestone.STARTED: Status.RUNNING,
        Milestone.RETRY_SCHEDULED: Status.PENDING,
        Milestone.WAITING: Status.WAITING,
        Milestone.CANCEL_REQUESTED: Status.QUEUED,
        Milestone.COMPENSATION_STARTED: Status.RUNNING,
        Milestone.RETRIED: Status.QUEUED,
        Milestone.COMPLETED: Status.COMPLETED,
        Milestone.FAILED: Status.FAILED,
        Milestone.CANCELLED: Status.CANCELLED,
    }
)
"""The status in which each milestone leaves an execution."""

_MILESTONES: Final[Mapping[EventType, Milestone]] = {
    EventType.BUFFERED: Milestone.BUFFERED,
    EventType.QUEUED: Milestone.QUEUED,
    EventType.PROMOTED: Milestone.QUEUED,
    EventType.SKIPPED: Milestone.SKIPPED,
    EventType.RETRY_SCHEDULED: Milestone.RETRY_SCHEDULED,
    EventType.WAITING: Milestone.WAITING,
    EventType.CANCEL_REQUESTED: Milestone.CANCEL_REQUESTED,
    EventType.COMPENSATION_STARTED: Milestone.COMPENSATION_STARTED,
    EventType.RETRIED: Milestone.RETRIED,
    EventType.COMPLETED: Milestone.COMPLETED,
    EventType.FAILED: Milestone.FAILED,
    EventType.CANCELLED: Milestone.CANCELLED,
}


_FIRST_CLAIM: Final = 2
"""The number of the first claim of what was queued by its schedule."""


class LifecycleEvent(NamedTuple):
    """One milestone of one execution. Of `execution` only what it was born with counts.

    (A tuple, because two of them are made for every execution that runs.)
    """

    milestone: Milestone
    execution: Execution
    seq: int
    at: datetime
    attempt: int | None = None
    error: Failure | None = None
    next_attempt_at: datetime | None = None
    reason: str | None = None

    @property
    def id(self) -> str:
        """The same whenever, and by whomever, the event is published."""
        return f"{self.execution.id}:{self.seq}"


def lifecycle_events(
    after: Execution, happened: Iterable[HistoryEvent]
) -> Iterator[LifecycleEvent]:
    """Yield what new events mean to the outside; `after` is the state that they led to.

    Claims are not known here, as it takes the state before to tell the first: see `started`.
    """
    for event in happened:
        milestone = _MILESTONES.get(event.type)
        if milestone is Milestone.RETRY_SCHEDULED:
            # It carries no error itself. It is always the last event of a change.
            attempt, error = after.attempt, after.error
        else:
            attempt, error = None, event.error
        if milestone is not None:
            yield LifecycleEvent(
                milestone,
                after,
                event.seq,
                event.at,
                attempt,
                error,
                event.next_attempt_at,
                event.reason,
            )


def started(claimed: Execution, now: datetime) -> LifecycleEvent | None:
    """Return the event of an execution that was claimed at `now`, if nobody had claimed it yet.

    What is claimed ahead of its instant starts at that; then the number of the event tells.
    """
    is_ahead = claimed.scheduled_for is not None and claimed.scheduled_for > now
    if claimed.seq != _FIRST_CLAIM if is_ahead else claimed.started_at != now:
        return None
    return LifecycleEvent(Milestone.STARTED, claimed, claimed.seq, now)


def lifecycle_of(execution: Execution, since: datetime) -> Iterator[LifecycleEvent]:
    """Yield the lifecycle events from an instant on, as its whole history tells them."""
    claims = (event.seq for event in execution.history if event.type is EventType.CLAIMED)
    first_claim = next(claims, None)
    for event, state in zip(execution.history, _states(execution), strict=True):
        if event.at < since:
            continue
        if event.seq == first_claim:
            yield LifecycleEvent(Milestone.STARTED, execution, event.seq, event.at)
        yield from lifecycle_events(state, (event,))


def _states(execution: Execution) -> list[Execution]:
    """Return the state after each event; of a history that is broken, the present one each time."""
    try:
        states = [born(execution)]
        for event in execution.history[1:]:
            states.append(apply(states[-1], event))
    except (PlatformError, KeyError, IndexError):
        return [execution] * len(execution.history)
    return states
