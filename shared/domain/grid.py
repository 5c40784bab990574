"""Instants at equal distances: each is the one before plus the interval, so nothing drifts."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Grid:
    """A timetable (see Timetable): `first`, then every `interval`, none after `end`."""

    first: datetime
    interval: timedelta
    end: datetime | None

    def first_from(self, instant: datetime) -> datetime:
        """Return the first one that is not before `instant`, wherever the grid ends."""
        steps = -((self.first - instant) // self.interval)
        return self.first + max(steps, 0) * self.interval

    def next_after(self, instant: datetime) -> datetime | None:
        """See Timetable.next_after."""
        at = self.first + self._steps(instant) * self.interval
        return None if self.end is not None and at > self.end else at

    def latest_until(self, instant: datetime, since: datetime) -> datetime | None:
        """See Timetable.latest_until."""
        at = self.first + (self._steps(self._within(instant)) - 1) * self.interval
        return at if self.first <= at and at > since else None

    def count(self, since: datetime, until: datetime) -> int:
        """See Timetable.count."""
        return max(self._steps(self._within(until)) - self._steps(self._within(since)), 0)

    def _within(self, instant: datetime) -> datetime:
        return instant if self.end is None else min(instant, self.end)

    def _steps(self, instant: datetime) -> int:
        """Count the instants that are not after `instant`."""
        return max((instant - self.first) // self.interval + 1, 0)
