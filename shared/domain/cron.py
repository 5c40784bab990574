"""Cron expressions on a calendar without time zones: which local times they name.

An expression is a set of days and a set of times that are the same on each of
those days. `cronsim` reads the text and says whether it names a day; the times
are looked up, since walking to them costs ten times as much.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Final

from cronsim import CronSim, CronSimError

from shared.domain.cron_days import days_of_month, first_day_from, last_day_until
from shared.domain.cron_mistakes import NICKNAMES, explain

MAX_EXPRESSION: Final = 500

_SOME_DAY: Final = date(2000, 1, 1)
_DAY: Final = timedelta(days=1)
_SECOND: Final = timedelta(seconds=1)


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

    def has_day(self, day: date) -> bool:
        """Tell whether it names times on a day."""
        return day.day in days_of_month(self.days, day.year, day.month)

    def next_after(self, local: datetime) -> datetime | None:
        """Return the first local time after `local`, or None if there is none any more."""
        today = local.date()
        day = first_day_from(self.days, today)
        if day == today:
            later = self._later_that_day(local)
            if later is not None:
                return later
            day = first_day_from(self.days, today + _DAY)
        first = time(self.hours.first, self.minutes.first, self.seconds.first)
        return None if day is None else datetime.combine(day, first)

    def last_before(self, local: datetime, since: date) -> datetime | None:
        """Return the last local time before a whole second, None if none is on or after a day."""
        today, times = local.date(), seconds_of_day(self)
        earlier = times & first_seconds(local)
        last = last_day_until(self.days, today if earlier else today - _DAY, since)
        if last is None:
            return None
        second = (earlier if last == today else times).bit_length() - 1
        return datetime.combine(last, time()) + second * _SECOND

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
    if first_day_from(days, _SOME_DAY) is None:
        raise ValueError(explain(text))
    return CronExpression(
        days, Wheel.of(read.hours, 24), Wheel.of(read.minutes, 60), Wheel.of(read.seconds, 60)
    )


@lru_cache(maxsize=512)
def seconds_of_day(expression: CronExpression) -> int:
    """Return the times of day of an expression, each second of a day being one bit.

    So times can be joined, cut and counted without going through them.
    """
    minute = sum(1 << second for second in expression.seconds.values)
    hour = sum(minute << 60 * each for each in expression.minutes.values)
    return sum(hour << 3600 * each for each in expression.hours.values)


def first_seconds(local: datetime) -> int:
    """Return the seconds of a day before a time, each as one bit."""
    return (1 << (local.hour * 60 + local.minute) * 60 + local.second) - 1
