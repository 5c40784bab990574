"""When cron expressions fire, found the slow way: by asking the clocks at every minute.

Written without the cron library, and without what the product knows of gaps
and folds: only what a zone's clocks show at an instant is asked for.
"""

from calendar import monthrange
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, datetime, timedelta, tzinfo
from functools import cache
from typing import Final

from shared.domain.triggers import OnFold, OnGap

MINUTE: Final = timedelta(minutes=1)


class Minutes:
    """What the clocks of a zone show at every minute from `begin` until before `end`."""

    def __init__(self, zone: tzinfo, begin: datetime, end: datetime) -> None:
        self._instants: dict[datetime, list[datetime]] = defaultdict(list)
        self._missing: dict[datetime, datetime] = {}
        before: datetime | None = None
        at = begin
        while at < end:
            shown = at.astimezone(zone).replace(tzinfo=None)
            while before is not None and before + MINUTE < shown:
                before += MINUTE
                self._missing[before] = at
            self._instants[shown].append(at)
            before = shown
            at += MINUTE

    def meant(self, expression: str) -> "Meant":
        """Return the minutes that an expression means."""
        there = [at for at in self._instants if matches(expression, at)]
        missing = [at for at in self._missing if matches(expression, at)]
        return Meant([self._instants[at] for at in there], [self._missing[at] for at in missing])


class Meant:
    """The instants of the local times that match, and what follows those that do not exist."""

    def __init__(self, instants: list[list[datetime]], after_gaps: list[datetime]) -> None:
        self._instants = instants
        self._after_gaps = after_gaps

    def swallowed(self) -> Counter[datetime]:
        """Return how many local times are missing, by the instant at which clocks jump."""
        return Counter(self._after_gaps)

    def fires(self, on_gap: OnGap, on_fold: OnFold) -> list[datetime]:
        """Return the instants of all fires, in order."""
        found = set(self._after_gaps if on_gap is OnGap.NEXT_VALID else ())
        for instants in self._instants:
            if on_fold is not OnFold.SECOND:
                found.add(instants[0])
            if on_fold is not OnFold.FIRST:
                found.add(instants[-1])
        return sorted(found)


def matches(expression: str, local: datetime) -> bool:
    """Tell whether an expression of five fields means a minute."""
    minute, hour, days = _split(expression)
    return local.minute in minute and local.hour in hour and _has_day(days, local.date())


@cache
def _split(expression: str) -> tuple[frozenset[int], frozenset[int], str]:
    minute, hour, days = expression.split(maxsplit=2)
    return frozenset(_numbers(minute, 0, 59)), frozenset(_numbers(hour, 0, 23)), days


@cache
def _has_day(days: str, day: date) -> bool:
    of_month, month, of_week = days.split()
    if day.month not in _numbers(month, 1, 12):
        return False
    by_month, by_week = _has_day_of_month(of_month, day), _has_weekday(of_week, day)
    if of_month.startswith("*") or of_week.startswith("*"):
        return by_month and by_week
    return by_month or by_week


def _has_day_of_month(field: str, day: date) -> bool:
    if field == "L":
        return day.day == monthrange(day.year, day.month)[1]
    return day.day in _numbers(field, 1, 31)


def _has_weekday(field: str, day: date) -> bool:
    number = day.isoweekday() % 7
    if field.endswith("L"):
        return number == int(field[0]) and (day + timedelta(days=7)).month != day.month
    if "#" in field:
        return number == int(field[0]) and (day.day + 6) // 7 == int(field[2])
    return number in _numbers(field, 0, 6)


def _numbers(field: str, lowest: int, highest: int) -> Iterator[int]:
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        begin, end = (lowest, highest) if span == "*" else (int(first), int(last or first))
        yield from range(begin, end + 1, int(step or 1))
