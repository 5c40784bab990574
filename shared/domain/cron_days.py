"""Which days a cron expression names: asked month by month, and remembered.

`days` are the three fields for it: day of the month, month, day of the week.
"""

from datetime import date, datetime
from functools import lru_cache
from typing import Final

from cronsim import CronSim

from shared.domain.instants import LAST

_MONTHS: Final = 12
_SOME_TIME: Final = datetime.combine(date(2000, 1, 1), datetime.min.time())
_END: Final = (LAST.year + 2) * _MONTHS
"""The month after the last that clocks could show at an instant, counted from the year 0."""


@lru_cache(maxsize=16384)
def days_of_month(days: str, year: int, month: int) -> tuple[int, ...]:
    """Return the days of a month that three fields name, in order."""
    fields = _read(days)
    if month not in fields.months:
        return ()
    first = date(year, month, 1)
    after = date(year + month // _MONTHS, month % _MONTHS + 1, 1)
    return tuple(
        day
        for day in range(1, (after - first).days + 1)
        if fields.match_day(first.replace(day=day))
    )


def first_day_from(days: str, day: date) -> date | None:
    """Return the first day from `day` on, or None if there is none before the end of time."""
    least = day.day
    for number in range(_number(day), _END):
        year, month = divmod(number, _MONTHS)
        for named in days_of_month(days, year, month + 1):
            if named >= least:
                return date(year, month + 1, named)
        least = 1
    return None


def last_day_until(days: str, day: date, since: date) -> date | None:
    """Return the last day until `day`, or None if there is none from `since` on."""
    most = day.day
    for number in range(_number(day), _number(since) - 1, -1):
        year, month = divmod(number, _MONTHS)
        for named in reversed(days_of_month(days, year, month + 1)):
            if named <= most:
                found = date(year, month + 1, named)
                return found if found >= since else None
        most = 31
    return None


def _number(day: date) -> int:
    return day.year * _MONTHS + day.month - 1


@lru_cache(maxsize=4096)
def _read(days: str) -> CronSim:
    return CronSim(f"0 0 {days}", _SOME_TIME)
