"""Instants at equal distances: each is the one before plus the interval, so nothing drifts."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.instants import LAST


@dataclass(frozen=True, slots=True)
class Grid:
    """A timetable (see Timetable): `first`, then every `interval`, none after `end` or 2999."""

    first: datetime
    interval: timedelta
    end: datetime | None

    @property
    def _last(self) -> datetime:
        return LAST if self.end is None else min(self.end, LAST)

    def first_from(self, instant: datetime) -> datetime:
        """Return the first one that is not before `instant`, wherever the grid ends."""
        steps = -((self.first - instant) // self.interval)
        return self.first + max(steps, 0) * self.interval

    def next_after(self, instant: datetime) -> datetime | None:
        """See Timetable.next_after."""
        if instant >= self._last:
            return None
        at = self.first + self._steps(instant) * self.interval
        return at if at <= self._last else None

    def next_place(self, instant: datetime) -> datetime | None:
        """See Timetable.next_place."""
        return self.next_after(instant)

    def next_gap(self, since: datetime, until: datetime) -> datetime | None:
        """See Timetable.next_gap. Clocks mean nothing to intervals."""
        _ = since, until
        return None

    def swallowed(self, instant: datetime) -> int:
        """See Timetable.swallowed."""
        _ = instant
        return 0

    def latest_until(self, instant: datetime, since: datetime) -> datetime | None:
        """See Timetable.latest_until."""
        at = self.first + (self._steps(min(instant, self._last)) - 1) * self.interval
        return at if self.first <= at and at > since else None

    def count(self, since: datetime, until: datetime) -> int:
        """See Timetable.count."""
        return max(self._steps(min(until, self._last)) - self._steps(min(since, self._last)), 0)

    def _steps(self, instant: datetime) -> int:
        """Count the instants that are not after `instant`."""
        return max((instant - self.first) // self.interval + 1, 0)
