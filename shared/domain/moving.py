"""Where a trigger is in its schedule when its jitter changes: nothing replayed, nothing dropped.

Its place moves by the difference of the delays, so each instant of its author's stands
for one occurrence. But ids tell the delayed instant: what a scheduler may be firing at
this moment must not move, or the id would not guard it. So that is held.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shared.domain.held import Hold
from shared.domain.instants import LAST
from shared.domain.timetable import Timetable

REACH: Final = timedelta(minutes=1)
"""So close a place is taken for one that a scheduler may have read already.

It is more than any scheduler fires ahead, and than an edit takes.
"""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a trigger is: its next place, the timetable that has it, and what delays it.

    `own` is the delay by its jitter, which its place does not have yet while that is held.
    """

    at: datetime
    timetable: Timetable
    own: timedelta
    hold: Hold | None = None

    @property
    def delay(self) -> timedelta:
        """By how much its next place is later than its author meant."""
        return self.hold.delay if self.hold and self.is_held else self.own

    @property
    def is_held(self) -> bool:
        """Tell whether its delay is an earlier one than that of its trigger."""
        return self.hold is not None and self.hold.keeps(self.at)

    def is_tangled(self, delay: timedelta, now: datetime) -> bool:
        """Tell whether what is due cannot go on in order with another delay.

        A later one would come before an earlier one; or two delays are in use already.
        """
        if delay == self.own or self.at > now + REACH:
            return False
        if self.is_held:
            return True
        last = self._last(now + REACH)
        following = self.timetable.next_place(last)
        return following is not None and following - self.delay + delay <= last

    def moved(self, delay: timedelta, now: datetime) -> tuple[datetime | None, Hold | None]:
        """Return the next place with another delay, and what keeps the one there was.

        What is tangled was dealt with before, and is behind it.
        """
        if delay == self.own:
            return self.at, self.hold if self.is_held else None
        if self.at > now + REACH or self.is_held:
            by = delay - self.delay
            return (self.at + by if self.at <= LAST - by else None), None
        return self.at, Hold(self._last(now + REACH), self.delay)

    def _last(self, until: datetime) -> datetime:
        """Return the last place that is not after `until`."""
        last = self.timetable.latest_until(until, self.at) or self.at
        while (gap := self.timetable.next_gap(last, until)) is not None:
            last = gap
        return last
