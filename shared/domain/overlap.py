"""What happens when a workflow is due, or triggered, while executions of it are unfinished.

An execution that may run holds one of its workflow's slots, of which there are as many as
may run at a time. One that has to wait for that takes a place in the workflow's buffer.
Unique keys see to it that each slot and each place has one holder.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

MAX_CONCURRENT: Final = 100
DEFAULT_ALLOWED: Final = 10
MAX_BUFFERED: Final = 1_000
DEFAULT_BUFFERED: Final = 100
MAX_BACKFILLED: Final = 1_000
"""So many executions of backfills may wait for their turn; their places follow the others."""


class Overlap(StrEnum):
    """What becomes of an occurrence, or a trigger, that finds every slot taken."""

    SKIP = "skip"
    BUFFER_ONE = "buffer-one"
    BUFFER_ALL = "buffer-all"
    ALLOW = "allow"
    CANCEL_RUNNING = "cancel-running"


OverlapField = Annotated[
    Overlap,
    Field(
        exclude_if=lambda value: value is Overlap.SKIP,
        description="What becomes of an occurrence that is due while the workflow is busy. skip: "
        "it is recorded and does not run, and a trigger by hand is refused. buffer-one: one waits "
        "for its turn, and what comes while one waits is skipped. buffer-all: up to `maxBuffered` "
        "wait, and run in the order they came. allow: it runs beside the others. cancel-running: "
        "what runs is cancelled, what it did is undone, and the newest takes its place.",
    ),
]
MaxConcurrent = Annotated[
    int | None,
    Field(
        ge=1,
        le=MAX_CONCURRENT,
        strict=True,
        description="How many executions of the workflow run at a time: "
        f"1 by default, {DEFAULT_ALLOWED} where `overlap` is allow; with cancel-running, always 1.",
    ),
]

MaxBuffered = Annotated[
    int | None,
    Field(
        ge=1,
        le=MAX_BUFFERED,
        strict=True,
        description="How many executions may wait for their turn where `overlap` is buffer-all: "
        f"{DEFAULT_BUFFERED} by default.",
    ),
]


@dataclass(frozen=True, slots=True)
class Crowd:
    """The numbers of the slots, and of the places in the buffer, that are taken."""

    slots: frozenset[int] = frozenset()
    places: frozenset[int] = frozenset()

    @property
    def waiting(self) -> frozenset[int]:
        """The places but those of backfills, which keep nobody from a slot or from waiting."""
        return frozenset(place for place in self.places if place < MAX_BUFFERED)

    @property
    def free_for_backfills(self) -> list[int]:
        """The places that executions of a backfill may take, lowest first."""
        places = range(MAX_BUFFERED, MAX_BUFFERED + MAX_BACKFILLED)
        return [place for place in places if place not in self.places]


@dataclass(frozen=True, slots=True)
class Slot:
    """The right to run, as one of several."""

    number: int


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the buffer, to wait there for a slot."""

    number: int


@dataclass(frozen=True, slots=True)
class OverlapPolicy:
    """How many executions of a workflow may run at a time, and how many may wait for that.

    It is `narrowed` if there may have been room for more earlier, so that others than those
    of its own slots and places may be taken still.
    """

    overlap: Overlap = Overlap.SKIP
    slots: int = 1
    places: int = 0
    narrowed: bool = False

    @property
    def is_plain(self) -> bool:
        """Tell whether there is but one key to take, so that one attempt says everything."""
        return self.slots == 1 and not self.buffers and not self.narrowed

    @property
    def buffers(self) -> bool:
        """Tell whether executions may have to wait, so that somebody has to let them go on."""
        return self.places > 0

    @property
    def replaces(self) -> bool:
        """Tell whether the newest takes the place of all others, running or waiting."""
        return self.overlap is Overlap.CANCEL_RUNNING

    def free_slots(self, crowd: Crowd) -> Iterator[int]:
        """Yield the slots that may be taken, lowest first.

        Those that are held beyond the last one, since before the policy was changed, count.
        """
        left = self.slots - len(crowd.slots)
        free = (number for number in range(self.slots) if number not in crowd.slots)
        return (number for number, _ in zip(free, range(left), strict=False))

    def admit(self, crowd: Crowd) -> Slot | Place | None:
        """Return what a new execution gets, or None if there is nothing left for it.

        Nobody overtakes those that wait already, even if a slot has just become free.
        """
        free, waiting = next(self.free_slots(crowd), None), crowd.waiting
        if free is not None and not waiting:
            return Slot(free)
        if len(waiting) >= self.places:
            return None
        return Place(next(n for n in range(self.places) if n not in waiting))


PLAIN: Final = OverlapPolicy()
"""One at a time, and what comes meanwhile does not run."""


def policy_of(
    overlap: Overlap, max_concurrent: int | None, max_buffered: int | None
) -> OverlapPolicy:
    """Return the policy that the members of a definition describe."""
    allowed = DEFAULT_ALLOWED if overlap is Overlap.ALLOW else 1
    places = {
        Overlap.BUFFER_ONE: 1,
        Overlap.BUFFER_ALL: max_buffered or DEFAULT_BUFFERED,
        # All but the newest leave as soon as somebody looks, so these are never taken for long.
        Overlap.CANCEL_RUNNING: DEFAULT_BUFFERED,
    }
    return OverlapPolicy(overlap, max_concurrent or allowed, places.get(overlap, 0))


def check_concurrent(overlap: Overlap, max_concurrent: int | None) -> int | None:
    """Return a limit that goes with a policy. Raises ValueError."""
    if overlap is Overlap.CANCEL_RUNNING and max_concurrent not in {None, 1}:
        raise ValueError("must be 1 with 'overlap': 'cancel-running', where one replaces another")
    return max_concurrent


def check_buffered(overlap: Overlap, max_buffered: int | None) -> int | None:
    """Return a limit that goes with a policy. Raises ValueError."""
    if max_buffered is not None and overlap is not Overlap.BUFFER_ALL:
        raise ValueError("goes with 'overlap': 'buffer-all' alone")
    return max_buffered


def joined(crowd: Crowd, taken: Slot | Place) -> Crowd:
    """Return the crowd once somebody has taken what was free."""
    if isinstance(taken, Slot):
        return replace(crowd, slots=crowd.slots | {taken.number})
    return replace(crowd, places=crowd.places | {taken.number})
