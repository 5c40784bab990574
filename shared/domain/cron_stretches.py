"""Stretches of time in which clocks run evenly, so that days can be counted at once."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from typing import Final

from shared.domain.local_time import ClockShift, clock_shifts, offset_at
from shared.domain.triggers import OnFold

_REACH: Final = timedelta(days=2)
"""Longer than clocks are ever set back by."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The instants from `begin` on and before `end`, with one offset; it may follow on a gap."""

    begin: datetime
    end: datetime
    offset: timedelta
    gap: ClockShift | None

    @property
    def local_begin(self) -> datetime:
        """What clocks show at `begin`."""
        return (self.begin + self.offset).replace(tzinfo=None)

    @property
    def local_end(self) -> datetime:
        """What clocks show at `end`, unless they are set then."""
        return (self.end + self.offset).replace(tzinfo=None)


def stretches(zone: tzinfo, begin: datetime, end: datetime, on_fold: OnFold) -> Iterator[Stretch]:
    """Yield what counts from an instant on and before another, both in whole seconds, in order.

    What clocks show twice is in there the first time, the second, or both times.
    """
    for whole in _whole(zone, begin - _REACH, end + _REACH, on_fold):
        first, last = max(whole.begin, begin), min(whole.end, end)
        if first < last:
            gap = whole.gap if first == whole.begin else None
            yield replace(whole, begin=first, end=last, gap=gap)


def _whole(zone: tzinfo, begin: datetime, end: datetime, on_fold: OnFold) -> Iterator[Stretch]:
    at, offset, gap = begin, offset_at(begin, zone), None
    for shift in clock_shifts(zone, begin, end):
        twice = timedelta() if shift.is_gap else shift.length
        yield Stretch(at, shift.at - twice * (on_fold is OnFold.SECOND), offset, gap)
        at = shift.at + twice * (on_fold is OnFold.FIRST)
        offset, gap = shift.after, shift if shift.is_gap else None
    yield Stretch(at, end, offset, gap)
