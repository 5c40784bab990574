"""In every zone, around every change of its clocks, cron does what a slow oracle says."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Final
from zoneinfo import available_timezones, reset_tzpath

import pytest

from shared.domain.timetable import timetable_of
from shared.domain.triggers import CronTrigger, OnFold, OnGap
from shared.domain.zones import zone, zone_names
from tests.unit.minutes import Meant, Minutes

BEGIN: Final = datetime(2025, 1, 1, tzinfo=UTC)
END: Final = datetime(2028, 1, 1, tzinfo=UTC)
SECOND: Final = timedelta(seconds=1)
MILLISECOND: Final = timedelta(milliseconds=1)
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
MONTH_END: Final = datetime(2026, 6, 30, tzinfo=UTC)

EXPRESSIONS: Final = {
    5 * HOUR / 2: ("* * * * *", "*/5 * * * *"),
    26 * HOUR: (
        "0 * * * *",
        "*/15 9-17 * * 1-5",
        "0,30 0-3,22,23 * 3,4,9,10,11 *",
        "0 0 * * *",
        "30 2 * * *",
        "0 9 * * 1-5",
        "0 0 * * 0",
        "15 1 * * 0L",
        "45 2 * * 0#2",
        "30 1 L * *",
    ),
}
"""Twelve expressions, by how far around a change they are followed."""

GAP: Final = ((OnGap.SKIP, OnFold.FIRST), (OnGap.NEXT_VALID, OnFold.BOTH))
FOLD: Final = tuple((OnGap.NEXT_VALID, on_fold) for on_fold in OnFold)
QUIET: Final = ((OnGap.SKIP, OnFold.BOTH),)
"""The choices that can make a difference; a change is a gap or a fold, never both."""

Place = tuple[datetime, int]
"""A fire, or a gap with how many local times it swallows."""

Rules = tuple[tuple[datetime, timedelta], ...]
"""The offsets of a zone in these years, each with the instant from which it holds."""


def test_the_zones_are_those_of_the_package() -> None:
    reset_tzpath(())
    try:
        assert zone_names() == available_timezones()
    finally:
        reset_tzpath()


@pytest.mark.xdist_group("every-zone")
@pytest.mark.parametrize("name", sorted(zone_names()))
def test_the_fire_times_of_a_zone_are_those_of_the_oracle(name: str) -> None:
    # Zones with the same offsets at all times are one zone by several names: what is
    # found for the first of them holds for all.
    assert _differences(_first_with(_rules(name))) == []


def test_there_are_zones_with_every_kind_of_change() -> None:
    lengths = {
        later - earlier
        for name in zone_names()
        for (_, earlier), (_, later) in pairwise(_rules(name))
    }
    assert lengths >= {HOUR, -HOUR, HOUR / 2, -HOUR / 2, 2 * HOUR, -2 * HOUR}


@cache
def _differences(name: str) -> list[str]:
    """Return where the product and the oracle differ, around every change of a zone."""
    return [
        f"{expression} in {name}, {on_gap}, {on_fold}: {min(expected ^ found)}"
        for at, choices in _occasions(name)
        for reach, expressions in EXPRESSIONS.items()
        for minutes in [Minutes(zone(name), at - reach, at + reach)]
        for expression in expressions
        for meant in [minutes.meant(expression)]
        for on_gap, on_fold in choices
        for expected in [set(_meant(meant, on_gap, on_fold))]
        for found in [set(_places(name, expression, on_gap, on_fold, at - reach, at + reach))]
        if expected != found
    ]


def _occasions(name: str) -> list[tuple[datetime, tuple[tuple[OnGap, OnFold], ...]]]:
    """Return the changes of a zone, or any instant if it has none, with what may be chosen."""
    changes = pairwise(_rules(name))
    found = [(at, GAP if later > earlier else FOLD) for (_, earlier), (at, later) in changes]
    return found or [(MONTH_END, QUIET)]


def _meant(meant: Meant, on_gap: OnGap, on_fold: OnFold) -> Iterator[Place]:
    """Yield what the oracle says: each fire, and each gap with how many times it swallows."""
    yield from ((at, 0) for at in meant.fires(on_gap, on_fold))
    if on_gap is OnGap.SKIP:
        yield from ((at - MILLISECOND, times) for at, times in meant.swallowed().items())


def _places(
    name: str, expression: str, on_gap: OnGap, on_fold: OnFold, begin: datetime, end: datetime
) -> Iterator[Place]:
    """Yield what the product says, from one place to the next; `begin` itself may be one."""
    trigger = CronTrigger(
        type="cron", schedule=(expression,), timezone=name, onGap=on_gap, onFold=on_fold
    )
    timetable = timetable_of(trigger, begin)
    assert timetable is not None
    at = timetable.next_place(begin - SECOND)
    while at is not None and at < end:
        yield at, timetable.swallowed(at)
        at = timetable.next_place(at)


@cache
def _first_with(rules: Rules) -> str:
    return next(name for name in sorted(zone_names()) if _rules(name) == rules)


@cache
def _rules(name: str) -> Rules:
    """Find every change of a zone by halving the days on which there is one."""
    found = [(BEGIN, _offset(name, BEGIN))]
    late = BEGIN
    while late < END:
        early, late = late, late + DAY
        if _offset(name, late) != found[-1][1]:
            found.append(_change(name, early, late))
    return tuple(found)


def _change(name: str, early: datetime, late: datetime) -> tuple[datetime, timedelta]:
    before = _offset(name, early)
    while late - early > SECOND:
        middle = (early + (late - early) / 2).replace(microsecond=0)
        early, late = (middle, late) if _offset(name, middle) == before else (early, middle)
    return late, _offset(name, late)


def _offset(name: str, at: datetime) -> timedelta:
    return at.astimezone(zone(name)).replace(tzinfo=UTC) - at
