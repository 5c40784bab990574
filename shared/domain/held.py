"""A trigger whose jitter changed while instants of it were due: these keep the delay they had."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.timetable import Timetable


@dataclass(frozen=True, slots=True)
class Hold:
    """The places of a trigger up to `until`, the last of them, are later by `delay` still.

    A scheduler that knows of no other jitter may be at any of them just now. So they
    keep their ids, and with those the guard against being fired twice.
    """

    until: datetime
    delay: timedelta

    def keeps(self, place: datetime) -> bool:
        """Tell whether a place is one of those that keep the delay they had."""
        return place <= self.until


@dataclass(frozen=True, slots=True)
class Held:
    """A timetable (see Timetable): that of `before` up to `until`, behind that the one of `after`.

    `until` is a place of `before`; `behind` is where `after` has the same one.
    """

    before: Timetable
    until: datetime
    after: Timetable
    behind: datetime

    def next_after(self, instant: datetime) -> datetime | None:
        """See Timetable.next_after."""
        at = self.before.next_after(instant)
        if at is not None and at <= self.until:
            return at
        return self.after.next_after(self._later(instant))

    def next_place(self, instant: datetime) -> datetime | None:
        """See Timetable.next_place."""
        at = self.before.next_place(instant)
        if at is not None and at <= self.until:
            return at
        return self.after.next_place(self._later(instant))

    def next_gap(self, since: datetime, until: datetime) -> datetime | None:
        """See Timetable.next_gap. What is `until` bounds a lapse as a gap does.

        So the instants that one record stands for have one delay.
        """
        if since > self.until:
            return self.after.next_gap(since, until)
        gap = self.before.next_gap(since, min(until, self.until))
        return gap or (self.until if self.until <= until else None)

    def swallowed(self, instant: datetime) -> int:
        """See Timetable.swallowed."""
        return (self.before if instant <= self.until else self.after).swallowed(instant)

    def latest_until(self, instant: datetime, since: datetime) -> datetime | None:
        """See Timetable.latest_until."""
        at = self.after.latest_until(instant, self._later(since))
        return at or self.before.latest_until(min(instant, self.until), since)

    def count(self, since: datetime, until: datetime) -> int:
        """See Timetable.count."""
        earlier = self.before.count(since, min(until, self.until))
        return earlier + self.after.count(self._later(since), until)

    def _later(self, instant: datetime) -> datetime:
        return max(instant, self.until, self.behind)
