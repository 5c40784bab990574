"""What a process has handed to storage and not yet published, and what it may thus promise."""

from datetime import datetime, timedelta
from itertools import count
from typing import Final, NamedTuple

LAG: Final = timedelta(seconds=2)
"""The promise stays so far behind, so that what is recorded a little late never meets it."""

SETTLING: Final = timedelta(seconds=5)
"""So long after a write in doubt it has reached the storage or never will."""


class Gap(NamedTuple):
    """From `start` on only the storage knows what is unpublished; it last grew at `lost_at`."""

    start: datetime
    lost_at: datetime


class EventLedger:
    """Keeps, for each call of the storage under way, the earliest instant that it speaks of.

    A call ends `published`, once its events are out, or `lost`: its outcome is in doubt or
    its events were dropped, and only the storage still knows of them. From the first such
    instant on there is a `gap`, until somebody else answers for it.
    """

    def __init__(self) -> None:
        self._open: dict[int, datetime] = {}
        self._numbers = count()
        self._gap: Gap | None = None

    def open(self, earliest: datetime) -> int:
        """Enter a call that is about to be made; return its number."""
        number = next(self._numbers)
        self._open[number] = earliest
        return number

    def published(self, number: int) -> None:
        """Strike out a call, all of whose events are out."""
        self._open.pop(number, None)

    def lost(self, number: int, now: datetime) -> None:
        """Strike out a call whose events only the storage can tell; they become part of the gap."""
        at = self._open.pop(number, None)
        if at is not None:
            self._gap = Gap(at if self._gap is None else min(self._gap.start, at), now)

    @property
    def is_clear(self) -> bool:
        """Tell whether everything that was handed in is published."""
        return not self._open and self._gap is None

    def published_until(self, now: datetime) -> datetime:
        """Return the instant before which nothing is unpublished."""
        held = [*self._open.values(), now - LAG]
        return min(held if self._gap is None else [*held, self._gap.start])

    def settled_gap(self, now: datetime) -> Gap | None:
        """Return the gap, if whatever is in it can be read from the storage by now."""
        if self._gap is None or now - self._gap.lost_at < SETTLING:
            return None
        return self._gap

    def handed_over(self, gap: Gap) -> None:
        """Forget a gap that somebody else answers for, unless it has grown meanwhile."""
        if self._gap == gap:
            self._gap = None
