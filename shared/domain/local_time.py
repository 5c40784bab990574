"""Which instants a local time stands for: one, none in a gap, two in a fold.

A *gap* is what clocks that are set forward jump over, a *fold* what they show
twice when they are set back. Local times are naive datetimes here, instants are
aware ones in UTC, as everywhere.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import pairwise
from typing import Final

from shared.domain.durations import MILLISECOND

SECOND: Final = timedelta(seconds=1)

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ClockShift:
    """An instant from which on a zone has another offset from UTC."""

    at: datetime
    before: timedelta
    after: timedelta

    @property
    def is_gap(self) -> bool:
        """Tell whether local times are missing, rather than there twice."""
        return self.after > self.before

    @property
    def start(self) -> datetime:
        """The first local time that is missing or there twice."""
        return (self.at + min(self.before, self.after)).replace(tzinfo=None)

    @property
    def end(self) -> datetime:
        """The first local time after `start` that is there once again."""
        return (self.at + max(self.before, self.after)).replace(tzinfo=None)

    @property
    def eve(self) -> datetime:
        """The last millisecond before it: where a gap lies on the timetable that it tears."""
        return self.at - MILLISECOND

    @property
    def length(self) -> timedelta:
        """How far the clocks are set."""
        return abs(self.after - self.before)


def offsets(local: datetime, zone: tzinfo) -> tuple[timedelta, timedelta]:
    """Return the offsets of a local time, seen from before and after the nearest shift.

    They are the same for an ordinary time. The first is the smaller one in a
    gap, the greater one in a fold (PEP 495).
    """
    before = local.replace(tzinfo=zone, fold=0).utcoffset()
    after = local.replace(tzinfo=zone, fold=1).utcoffset()
    if before is None or after is None:
        raise ValueError(f"{zone} is no time zone")
    return before, after


def instant_at(local: datetime, offset: timedelta) -> datetime:
    """Return the instant at which clocks with this offset show a local time."""
    return (local - offset).replace(tzinfo=UTC)


def local_at(instant: datetime, zone: tzinfo) -> tuple[datetime, int]:
    """Return what clocks show at an instant, and whether for the first (0) or second time (1)."""
    local = instant.astimezone(zone)
    return local.replace(tzinfo=None, fold=0), local.fold


def offset_at(instant: datetime, zone: tzinfo) -> timedelta:
    """Return how far the clocks of a zone are ahead of UTC at an instant."""
    return instant.astimezone(zone).replace(tzinfo=UTC) - instant


def shift_around(local: datetime, zone: tzinfo) -> ClockShift:
    """Return the shift that makes a local time missing or double."""
    before, after = offsets(local, zone)
    early = instant_at(local, max(before, after))
    return first_shift(zone, early, instant_at(local, min(before, after)))


def first_shift(zone: tzinfo, early: datetime, late: datetime) -> ClockShift:
    """Return the one shift of a zone after `early` and until `late`, both in whole seconds."""
    before, after = offset_at(early, zone), offset_at(late, zone)
    while late - early > SECOND:
        middle = early + (late - early) // (2 * SECOND) * SECOND
        if offset_at(middle, zone) == before:
            early = middle
        else:
            late = middle
    return ClockShift(late, before, after)


def clock_shifts(zone: tzinfo, since: datetime, until: datetime) -> list[ClockShift]:
    """Return the shifts of a zone after `since` and until `until`, in order."""
    if zone.utcoffset(None) is not None:
        return []
    years = range(since.year, until.year + 1)
    found = (shift for year in years for shift in _shifts_of_year(zone, year))
    return [shift for shift in found if since < shift.at <= until]


@lru_cache(maxsize=4096)
def _shifts_of_year(zone: tzinfo, year: int) -> tuple[ClockShift, ...]:
    """Find the shifts after the start of a year and until its end; no zone has two on one day."""
    first, after = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    days = [first + number * _DAY for number in range((after - first).days + 1)]
    ends = pairwise((day, offset_at(day, zone)) for day in days)
    return tuple(
        first_shift(zone, early, late) for (early, before), (late, later) in ends if before != later
    )
