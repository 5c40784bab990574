"""When a cron trigger fires: local times, turned into instants by the rules of a zone."""

from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final, Self

from shared.domain.cron_stretches import Stretch, stretches
from shared.domain.cron_times import LocalTimes
from shared.domain.durations import MILLISECOND
from shared.domain.instants import LAST
from shared.domain.local_time import (
    SECOND,
    ClockShift,
    clock_shifts,
    instant_at,
    local_at,
    offsets,
    shift_around,
)
from shared.domain.triggers import CronTrigger, OnFold, OnGap
from shared.domain.zones import zone

_FOLDS: Final = {OnFold.FIRST: (0,), OnFold.SECOND: (1,), OnFold.BOTH: (0, 1)}
_JUST_BEFORE: Final = timedelta(microseconds=1)
_EVE: Final = (SECOND - MILLISECOND).microseconds
"""What is past the second at the place of a gap. Fires come at whole seconds."""


@dataclass(frozen=True, slots=True)
class CronTimetable:
    """A timetable (see Timetable) of local times in a zone, none before `start` or after `end`."""

    times: LocalTimes
    zone: tzinfo
    skips_gaps: bool
    on_fold: OnFold
    start: datetime | None
    end: datetime

    @classmethod
    def of(cls, trigger: CronTrigger) -> Self:
        """Return when a trigger fires."""
        return cls(
            times=LocalTimes.of(trigger),
            zone=zone(trigger.timezone),
            skips_gaps=trigger.on_gap is OnGap.SKIP,
            on_fold=trigger.on_fold,
            start=trigger.start_at,
            end=min(trigger.end_at or LAST, LAST),
        )

    def next_after(self, instant: datetime) -> datetime | None:
        """See Timetable.next_after."""
        return self._next(instant, gaps=False)

    def next_place(self, instant: datetime) -> datetime | None:
        """See Timetable.next_place."""
        return self._next(instant, gaps=self.skips_gaps)

    def next_gap(self, since: datetime, until: datetime) -> datetime | None:
        """See Timetable.next_gap."""
        if not self.skips_gaps:
            return None
        first = self._from_start(since) + MILLISECOND
        shifts = clock_shifts(self.zone, first, min(until, self.end) + MILLISECOND)
        return next((shift.eve for shift in shifts if self._swallowed_by(shift)), None)

    def swallowed(self, instant: datetime) -> int:
        """See Timetable.swallowed."""
        if not self.skips_gaps or instant.microsecond != _EVE:
            return 0
        shifts = clock_shifts(self.zone, instant, instant + MILLISECOND)
        return max(sum(map(self._swallowed_by, shifts)), 1)

    def _next(self, instant: datetime, *, gaps: bool) -> datetime | None:
        since = self._from_start(instant)
        if since >= self.end:
            return None
        # Each pass through a fold is in order by itself; only together they are not.
        passes = (self._next_in_pass(since, fold, gaps=gaps) for fold in _FOLDS[self.on_fold])
        at = min((at for at in passes if at is not None), default=None)
        return None if at is None or at > self.end else at

    def latest_until(self, instant: datetime, since: datetime) -> datetime | None:
        """See Timetable.latest_until."""
        for stretch in reversed(self._stretches(since, instant)):
            local = self.times.last_before(stretch.local_end, stretch.local_begin)
            if local is not None:
                return instant_at(local, stretch.offset)
            if self._fires_for_gap(stretch):
                return stretch.begin
        return None

    def count(self, since: datetime, until: datetime) -> int:
        """See Timetable.count."""
        return sum(
            self.times.count(stretch.local_begin, stretch.local_end) + self._fires_for_gap(stretch)
            for stretch in self._stretches(since, until)
        )

    def _from_start(self, instant: datetime) -> datetime:
        return instant if self.start is None else max(instant, self.start - _JUST_BEFORE)

    def _stretches(self, since: datetime, until: datetime) -> list[Stretch]:
        begin = _second_after(min(self._from_start(since), self.end))
        end = _second_after(min(until, self.end))
        return list(stretches(self.zone, begin, end, self.on_fold)) if begin < end else []

    def _fires_for_gap(self, stretch: Stretch) -> bool:
        """Tell whether it fires as a stretch begins, for times that were jumped over alone."""
        gap = stretch.gap
        if gap is None or self.skips_gaps:
            return False
        there = self.times.count(gap.end, gap.end + SECOND)
        return not there and self.times.count(gap.start, gap.end) > 0

    def _swallowed_by(self, shift: ClockShift) -> int:
        return self.times.count(shift.start, shift.end) if shift.is_gap else 0

    def _next_in_pass(self, instant: datetime, fold: int, *, gaps: bool) -> datetime | None:
        """Return the first instant after `instant`, if local times that come twice count once.

        `fold` says which time: the first (0) or the second (1). Places of gaps are among the
        instants if `gaps` says so.
        """
        local: datetime | None = self._settled(instant, fold)
        while local is not None and (local := self.times.next_after(local)) is not None:
            before, after = offsets(local, self.zone)
            if before >= after:
                return instant_at(local, after if fold else before)
            gap = shift_around(local, self.zone)
            if not self.skips_gaps:
                return gap.at
            if gaps and gap.eve > instant:
                return gap.eve
            local = max(local, gap.end - SECOND)
        return None

    def _settled(self, instant: datetime, fold: int) -> datetime:
        """Return the last local time whose instant cannot lie after `instant`."""
        local, shown = local_at(instant, self.zone)
        before, after = offsets(local, self.zone)
        if before == after or shown == fold:
            return local
        shift = shift_around(local, self.zone)
        return (shift.start if fold else shift.end) - SECOND


def _second_after(instant: datetime) -> datetime:
    return instant.replace(microsecond=0) + SECOND
