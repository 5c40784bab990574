"""What is to be expected of instants to come, if every execution takes the same time.

It is what the scheduler does by way of slots and places (see `overlap`), told beforehand:
what ends at an instant is in nobody's way then; what has to wait goes on in the order in
which it came; of several triggers due at once, the first in the definition comes first.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from heapq import heapify, heappop, heappush
from typing import Protocol

from shared.domain.execution import SkipReason
from shared.domain.overlap import OverlapPolicy


class Expected(StrEnum):
    """What is to be expected of an instant.

    One that is `buffered` starts later; one that is `replaced` starts, and is cancelled later.
    """

    FIRES = "fires"
    BUFFERED = "buffered"
    REPLACED = "replaced"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Foreseen:
    """An instant of a trigger, and what is to be expected of it.

    `later` is when it starts if it is buffered, or is cancelled if it is replaced; `reason`
    is why it is skipped.
    """

    at: datetime
    trigger_id: str
    expected: Expected = Expected.FIRES
    later: datetime | None = None
    reason: SkipReason | None = None


@dataclass(frozen=True, slots=True)
class Ahead:
    """The instants of a trigger, in order; it ends after `runs_left` that were not skipped."""

    trigger_id: str
    instants: Iterator[datetime]
    runs_left: int | None = None


@dataclass(frozen=True, slots=True)
class Occupied:
    """What a workflow is busy with at an instant: when what runs ends, and how many wait."""

    at: datetime
    ends: tuple[datetime, ...] = ()
    waiting: int = 0


def foresee(
    triggers: Sequence[Ahead], policy: OverlapPolicy, length: timedelta, held: Occupied
) -> Iterator[Foreseen]:
    """Yield what is to be expected of the instants, which all lie after `held.at`, in order."""
    lane = _lane(policy, length, held)
    left = {trigger.trigger_id: trigger.runs_left for trigger in triggers}
    upcoming = [
        (at, n)
        for n, each in enumerate(triggers)
        if (at := _next(each, each.runs_left)) is not None
    ]
    heapify(upcoming)
    while upcoming:
        at, due = upcoming[0][0], list[int]()
        while upcoming and upcoming[0][0] == at:
            due.append(heappop(upcoming)[1])
        met = lane.meet(at, [triggers[n].trigger_id for n in due])
        for n, each in zip(due, met, strict=True):
            left[each.trigger_id] = _counted(left[each.trigger_id], each)
            following = _next(triggers[n], left[each.trigger_id])
            if following is not None:
                heappush(upcoming, (following, n))
        yield from lane.settled(met, upcoming[0][0] if upcoming else None)


def _lane(policy: OverlapPolicy, length: timedelta, held: Occupied) -> "_Lane":
    if policy.replaces:
        return _Replacing.of(length, held)
    return _Queue.of(policy, length, held)


def _next(trigger: Ahead, left: int | None) -> datetime | None:
    return None if left == 0 else next(trigger.instants, None)


def _counted(left: int | None, met: Foreseen) -> int | None:
    """What is superseded was let in before, so it counts as a run; an overlap does not."""
    return left if left is None or met.reason is SkipReason.OVERLAP else left - 1


class _Lane(Protocol):
    """How a policy deals with instants: all triggers that are due at one of them at a time."""

    def meet(self, at: datetime, names: Sequence[str]) -> list[Foreseen]: ...

    def settled(
        self, met: Sequence[Foreseen], following: datetime | None
    ) -> Sequence[Foreseen]: ...


@dataclass(slots=True)
class _Queue:
    """Slots, and places to wait for them.

    `free` is a heap of when each slot is left by all that have been let in so far, and
    `starts` are the instants at which those that still wait go on.
    """

    policy: OverlapPolicy
    length: timedelta
    free: list[datetime]
    starts: deque[datetime] = field(default_factory=deque)

    @classmethod
    def of(cls, policy: OverlapPolicy, length: timedelta, held: Occupied) -> "_Queue":
        # Of more than there are slots, as many as that have to end before one is free.
        ends = sorted(held.ends)[-policy.slots :]
        lane = cls(policy, length, ends + [held.at] * (policy.slots - len(ends)))
        heapify(lane.free)
        for _ in range(held.waiting):
            lane._take(held.at)
        return lane

    def meet(self, at: datetime, names: Sequence[str]) -> list[Foreseen]:
        while self.starts and self.starts[0] <= at:
            self.starts.popleft()
        # Nobody overtakes those that wait, of whom there are none while a slot is free.
        slots = 0 if self.starts else sum(end <= at for end in self.free)
        places = max(0, self.policy.places - len(self.starts))
        beginning, waiting = names[:slots], names[slots : slots + places]
        begins = {name: self._take(at) for name in (*beginning, *sorted(waiting, key=_id_order))}
        return [_queued(at, name, begins.get(name)) for name in names]

    def settled(self, met: Sequence[Foreseen], following: datetime | None) -> Sequence[Foreseen]:
        _ = following
        return met

    def _take(self, at: datetime) -> datetime:
        """Return when the next one in the queue goes on."""
        begin = max(at, heappop(self.free))
        heappush(self.free, begin + self.length)
        if begin > at:
            self.starts.append(begin)
        return begin


def _queued(at: datetime, name: str, begin: datetime | None) -> Foreseen:
    if begin is None:
        return Foreseen(at, name, Expected.SKIPPED, reason=SkipReason.OVERLAP)
    if begin > at:
        return Foreseen(at, name, Expected.BUFFERED, begin)
    return Foreseen(at, name)


@dataclass(slots=True)
class _Replacing:
    """One slot, which the newest takes over at once, as if nothing had to be undone before."""

    length: timedelta
    busy_until: datetime

    @classmethod
    def of(cls, length: timedelta, held: Occupied) -> "_Replacing":
        begun_now = [held.at + length] if held.waiting else []
        return cls(length, max((*held.ends, *begun_now), default=held.at))

    def meet(self, at: datetime, names: Sequence[str]) -> list[Foreseen]:
        newest = max(names, key=_id_order)
        first = names[0] if self.busy_until <= at else newest
        self.busy_until = at + self.length
        superseded = Foreseen(at, "", Expected.SKIPPED, reason=SkipReason.SUPERSEDED)
        known = {first: Foreseen(at, first, Expected.REPLACED, at), newest: Foreseen(at, newest)}
        return [known.get(name, replace(superseded, trigger_id=name)) for name in names]

    def settled(self, met: Sequence[Foreseen], following: datetime | None) -> Sequence[Foreseen]:
        if following is None or following >= self.busy_until:
            return met
        return [
            replace(each, expected=Expected.REPLACED, later=following)
            if each.expected is Expected.FIRES
            else each
            for each in met
        ]


def _id_order(trigger_id: str) -> str:
    """Executions for one instant are as old as their ids say; a colon follows the trigger's."""
    return f"{trigger_id}:"
