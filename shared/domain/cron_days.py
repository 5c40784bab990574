"""Which days a cron expression names: asked month by month, and remembered.

`days` are the three fields for it: day of the month, month, day of the week.
"""

from calendar import monthrange
from collections.abc import Iterator
from datetime import date, datetime
from functools import lru_cache
from typing import Final

from cronsim import CronSim

from shared.domain.instants import LAST

_MONTHS: Final = 12
_SOME_TIME: Final = datetime.combine(date(2000, 1, 1), datetime.min.time())
_END: Final = (LAST.year + 2) * _MONTHS
"""The month after the last that clocks show at an instant, counted from the year 0."""


@lru_cache(maxsize=16384)
def days_of_month(days: str, year: int, month: int) -> tuple[int, ...]:
    """Return the days of a month that three fields name, in order."""
    fields = _read(days)
    if month not in fields.months:
        return ()
    numbers = range(1, monthrange(year, month)[1] + 1)
    return tuple(day for day in numbers if fields.match_day(date(year, month, day)))


def first_day_from(days: str, day: date) -> date | None:
    """Return the first day from `day` on, or None if there is none before the end of time."""
    least = day.day
    for year, month in _months(days, range(_number(day), _END)):
        if (year, month) != (day.year, day.month):
            least = 1
        for named in days_of_month(days, year, month):
            if named >= least:
                return date(year, month, named)
    return None


def last_day_until(days: str, day: date, since: date) -> date | None:
    """Return the last day until `day`, or None if there is none from `since` on."""
    for year, month in _months(days, range(_number(day), _number(since) - 1, -1)):
        for named in reversed(days_of_month(days, year, month)):
            found = date(year, month, named)
            if found <= day:
                return found if found >= since else None
    return None


def _months(days: str, numbers: range) -> Iterator[tuple[int, int]]:
    """Yield those of some months in which there may be days."""
    months = _read(days).months
    return ((n // _MONTHS, n % _MONTHS + 1) for n in numbers if n % _MONTHS + 1 in months)


def _number(day: date) -> int:
    """Count the months from the year 0 to a day."""
    return day.year * _MONTHS + day.month - 1


@lru_cache(maxsize=4096)
def _read(days: str) -> CronSim:
    return CronSim(f"0 0 {days}", _SOME_TIME)
