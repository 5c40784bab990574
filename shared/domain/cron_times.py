"""The local times of several cron expressions together."""

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import reduce
from operator import or_
from typing import Final, Self

from shared.domain.cron import CronExpression, first_seconds, read_expression, seconds_of_day
from shared.domain.triggers import CronTrigger

_DAY: Final = timedelta(days=1)


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
            each = (expression.next_after(local) for expression in self.expressions)
            found = min((at for at in each if at is not None), default=None)
            if found is None or found.date() not in self.excluded:
                return found
            local = datetime.combine(found, time.max)

    def last_before(self, end: datetime, begin: datetime) -> datetime | None:
        """Return the last one before `end`, None if none is from `begin` on; both whole seconds."""
        while True:
            each = (expression.last_before(end, begin.date()) for expression in self.expressions)
            found = max((at for at in each if at is not None), default=None)
            if found is None or found < begin:
                return None
            if found.date() not in self.excluded:
                return found
            end = datetime.combine(found, time())

    def count(self, begin: datetime, end: datetime) -> int:
        """Return how many there are from `begin` on and before `end`, both whole seconds."""
        # There are few sets of expressions that share a day, however many days there are.
        length = (end.date() - begin.date()).days
        days = Counter(self._on(begin.date() + number * _DAY) for number in range(length))
        whole = sum(number * self._times(on).bit_count() for on, number in days.items())
        return whole + self._count_before(end) - self._count_before(begin)

    def _count_before(self, local: datetime) -> int:
        """Count those of a day before a time."""
        return (self._times(self._on(local.date())) & first_seconds(local)).bit_count()

    def _on(self, day: date) -> tuple[int, ...]:
        """Return the places of the expressions that name times on a day."""
        if day in self.excluded:
            return ()
        return tuple(place for place, each in enumerate(self.expressions) if each.has_day(day))

    def _times(self, places: tuple[int, ...]) -> int:
        return reduce(or_, (seconds_of_day(self.expressions[place]) for place in places), 0)
