"""Cron expressions on a calendar without time zones: which local times they name.

An expression is a set of days and a set of times that are the same on each of
those days. `cronsim` reads the text and finds the days; the times are looked
up, since walking to them costs ten times as much.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Final

from cronsim import CronSim, CronSimError

from shared.domain.cron_mistakes import NICKNAMES, explain

MAX_EXPRESSION: Final = 500

_SOME_DAY: Final = date(2000, 1, 1)
_BEFORE_NEXT: Final = timedelta(seconds=1)
_EVERY_DAY: Final = "* * *"


@dataclass(frozen=True, slots=True)
class Wheel:
    """The values that hours, minutes or seconds may have, and which one follows."""

    values: frozenset[int]
    first: int
    after: tuple[int | None, ...]

    @classmethod
    def of(cls, values: Iterable[int], size: int) -> "Wheel":
        """Return the wheel with these of the values from 0 to `size` - 1."""
        ordered = sorted(values)
        after = (next((v for v in ordered if v > here), None) for here in range(size))
        return cls(frozenset(ordered), ordered[0], tuple(after))


@dataclass(frozen=True, slots=True)
class CronExpression:
    """What an expression says: the fields for its days, and its times of day."""

    days: str
    hours: Wheel
    minutes: Wheel
    seconds: Wheel

    def next_after(self, local: datetime) -> datetime | None:
        """Return the first local time after `local`, or None if there is none in 50 years."""
        today = local.date()
        day = self._day_from(today)
        if day == today:
            later = self._later_that_day(local)
            if later is not None:
                return later
            day = self._day_from(today + timedelta(days=1))
        first = time(self.hours.first, self.minutes.first, self.seconds.first)
        return None if day is None else datetime.combine(day, first)

    def _day_from(self, day: date) -> date | None:
        return day if self.days == _EVERY_DAY else _matching_day(self.days, day)

    def _later_that_day(self, local: datetime) -> datetime | None:
        hour, minute, second = local.hour, local.minute, local.second
        if hour in self.hours.values:
            if minute in self.minutes.values:
                later = self.seconds.after[second]
                if later is not None:
                    return local.replace(second=later, microsecond=0)
            later = self.minutes.after[minute]
            if later is not None:
                return local.replace(minute=later, second=self.seconds.first, microsecond=0)
        later = self.hours.after[hour]
        if later is None:
            return None
        return local.replace(
            hour=later, minute=self.minutes.first, second=self.seconds.first, microsecond=0
        )


@lru_cache(maxsize=4096)
def read_expression(text: str) -> CronExpression:
    """Read an expression of 5 fields, of 6 with seconds first, or a nickname such as `@daily`.

    Raises ValueError saying which field is wrong, or that no day would ever match.
    """
    plain = NICKNAMES.get(text.lower(), text)
    if len(text) > MAX_EXPRESSION or not text.isascii():
        raise ValueError(f"must be ASCII text of at most {MAX_EXPRESSION} characters")
    try:
        read = CronSim(plain, datetime.combine(_SOME_DAY, time()))
    except CronSimError as error:
        raise ValueError(explain(text)) from error
    days = " ".join(read.parts[3:])
    if _matching_day(days, _SOME_DAY) is None:
        raise ValueError(explain(text))
    return CronExpression(
        days, Wheel.of(read.hours, 24), Wheel.of(read.minutes, 60), Wheel.of(read.seconds, 60)
    )


@lru_cache(maxsize=8192)
def _matching_day(days: str, day: date) -> date | None:
    """Return the first day from `day` on that three fields name."""
    before = datetime.combine(day, time()) - _BEFORE_NEXT
    found = next(CronSim(f"0 0 {days}", before), None)
    return found.date() if found else None
