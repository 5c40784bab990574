"""When a cron trigger fires: local times, turned into instants by the rules of a zone."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from heapq import merge
from itertools import takewhile
from typing import Final, Self

from shared.domain.cron import CronExpression, read_expression
from shared.domain.local_time import SECOND, instant_at, local_at, offsets, shift_around
from shared.domain.triggers import CronTrigger, OnFold, OnGap
from shared.domain.zones import zone

_FOLDS: Final = {OnFold.FIRST: (0,), OnFold.SECOND: (1,), OnFold.BOTH: (0, 1)}
_FIRST_LOOK_BACK: Final = timedelta(minutes=1)
_JUST_BEFORE: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class LocalTimes:
    """The local times of several expressions together, but for those on excluded dates."""

    expressions: tuple[CronExpression, ...]
    excluded: frozenset[date]

    @classmethod
    def of(cls, trigger: CronTrigger) -> Self:
        """Return the local times that a trigger names."""
        expressions = tuple(map(read_expression, trigger.schedule))
        return cls(expressions, frozenset(trigger.exclude))

    def next_after(self, local: datetime) -> datetime | None:
        """Return the first one after `local`, or None if there is none any more."""
        while True:
            found = self._next_of_all(local)
            if found is None or found.date() not in self.excluded:
                return found
            local = datetime.combine(found, time.max)

    def _next_of_all(self, local: datetime) -> datetime | None:
        if len(self.expressions) == 1:
            return self.expressions[0].next_after(local)
        each = (expression.next_after(local) for expression in self.expressions)
        return min((found for found in each if found is not None), default=None)


@dataclass(frozen=True, slots=True)
class CronTimetable:
    """A timetable (see Timetable) of local times in a zone, none before `start` or after `end`."""

    times: LocalTimes
    zone: tzinfo
    skips_gaps: bool
    on_fold: OnFold
    start: datetime | None = None
    end: datetime | None = None

    @classmethod
    def of(cls, trigger: CronTrigger) -> Self:
        """Return when a trigger fires."""
        return cls(
            times=LocalTimes.of(trigger),
            zone=zone(trigger.timezone),
            skips_gaps=trigger.on_gap is OnGap.SKIP,
            on_fold=trigger.on_fold,
            start=trigger.start_at,
            end=trigger.end_at,
        )

    def next_after(self, instant: datetime) -> datetime | None:
        """See Timetable.next_after."""
        return next(self._after(instant), None)

    def latest_until(self, instant: datetime, since: datetime) -> datetime | None:
        """See Timetable.latest_until."""
        # Looking back twice as far each time finds dense and rare ones with few steps.
        back = _FIRST_LOOK_BACK
        while True:
            begin = max(instant - back, since)
            latest = deque(self._between(begin, instant), maxlen=1)
            if latest or begin <= since:
                return latest[0] if latest else None
            back *= 2

    def count(self, since: datetime, until: datetime) -> int:
        """See Timetable.count."""
        return sum(1 for _ in self._between(since, until))

    def _between(self, since: datetime, until: datetime) -> Iterator[datetime]:
        return takewhile(lambda at: at <= until, self._after(since))

    def _after(self, instant: datetime) -> Iterator[datetime]:
        if self.start is not None:
            instant = max(instant, self.start - _JUST_BEFORE)
        # Each pass through a fold is in order by itself; only together they are not.
        passes = [self._pass(instant, fold) for fold in _FOLDS[self.on_fold]]
        last = instant
        for at in merge(*passes) if len(passes) > 1 else passes[0]:
            if self.end is not None and at > self.end:
                return
            if at > last:
                yield at
                last = at

    def _pass(self, instant: datetime, fold: int) -> Iterator[datetime]:
        """Yield the instants after `instant`, if local times that come twice count once.

        `fold` says which time: the first (0) or the second (1).
        """
        local: datetime | None = self._settled(instant, fold)
        while local is not None and (local := self.times.next_after(local)) is not None:
            before, after = offsets(local, self.zone)
            if before >= after:
                yield instant_at(local, after if fold else before)
                continue
            gap = shift_around(local, self.zone)
            if not self.skips_gaps:
                yield gap.at
            local = max(local, gap.end - SECOND)

    def _settled(self, instant: datetime, fold: int) -> datetime:
        """Return the last local time whose instant cannot lie after `instant`."""
        local, shown = local_at(instant, self.zone)
        before, after = offsets(local, self.zone)
        if before == after or shown == fold:
            return local
        shift = shift_around(local, self.zone)
        return (shift.start if fold else shift.end) - SECOND
