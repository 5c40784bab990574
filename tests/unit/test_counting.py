"""How many instants of a calendar lie in a span, and which is the last: never by walking them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from time import process_time
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from shared.domain.timetable import Timetable, timetable_of
from shared.domain.triggers import OnFold, OnGap, Trigger
from tests.support.builders import NOW

TRIGGERS: Final[TypeAdapter[Trigger]] = TypeAdapter(Trigger)
DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
MS: Final = timedelta(milliseconds=1)
ENOUGH: Final = 5.0
"""Seconds of computing that no slow machine needs; a walk takes minutes."""

DENSE: Final = ["* * * * *", "*/7 * * * *", "*/40 2,3 * * *", "20 */9 1,2,3 * * *", "0 * * * MON"]
RARE: Final = [
    "30 2 * * *",
    "0 0 * * *",
    "15 1 * * 0L",
    "30 23 L * *",
    "0 3 29 2 *",
    "45 2 LW 3,10 *",
]
ZONES: Final = {
    "UTC": "2026-02-27",
    "Asia/Kathmandu": "2026-12-30",
    "Europe/Berlin": "2026-03-28",
    "Europe/Paris": "2026-10-24",
    "Australia/Lord_Howe": "2026-04-03",
    "Antarctica/Troll": "2026-10-24",
    "Africa/Casablanca": "2026-02-14",
    "America/Sao_Paulo": "2018-11-02",
    "Africa/Cairo": "2026-10-29",
    "Pacific/Apia": "2011-12-28",
}
"""Zones, each with a day shortly before its clocks are set, or before a month ends."""

ZONE: Final = st.sampled_from(sorted(ZONES))
OFFSET: Final = st.integers(-2 * 86_400_000, 3 * 86_400_000).map(lambda ms: ms * MS)


def _cron(schedule: list[str], **fields: Any) -> Timetable:
    trigger = TRIGGERS.validate_python({"type": "cron", "schedule": schedule, **fields})
    timetable = timetable_of(trigger, NOW)
    assert timetable is not None
    return timetable


def _walk(timetable: Timetable, since: datetime, until: datetime) -> Iterator[datetime]:
    at = timetable.next_after(since)
    while at is not None and at <= until:
        yield at
        at = timetable.next_after(at)


def _near(name: str, offset: timedelta) -> datetime:
    return datetime.fromisoformat(ZONES[name]).replace(tzinfo=UTC) + offset


def _expect_the_walk(timetable: Timetable, since: datetime, until: datetime) -> None:
    walked = list(_walk(timetable, since, until))
    assert timetable.count(since, until) == len(walked)
    assert timetable.latest_until(until, since) == (walked[-1] if walked else None)


@given(
    ZONE,
    st.lists(st.sampled_from(DENSE + RARE), min_size=1, max_size=4),
    st.sampled_from(OnGap),
    st.sampled_from(OnFold),
    OFFSET,
    st.integers(0, 3 * 86_400_000).map(lambda ms: ms * MS),
)
def test_a_span_of_days_has_as_many_instants_as_a_walk_finds(
    name: str, schedule: list[str], on_gap: OnGap, on_fold: OnFold, offset: timedelta, length: Any
) -> None:
    timetable = _cron(schedule, timezone=name, onGap=on_gap, onFold=on_fold)
    since = _near(name, offset)
    _expect_the_walk(timetable, since, since + length)


@given(
    ZONE,
    st.lists(st.sampled_from(RARE), min_size=1, max_size=6),
    st.sets(st.integers(0, 900), max_size=20),
    OFFSET,
    st.integers(0, 900),
    st.tuples(st.integers(-50, 400), st.integers(0, 700)),
)
def test_a_span_of_years_has_as_many_instants_as_a_walk_finds(
    name: str,
    schedule: list[str],
    excluded: set[int],
    offset: timedelta,
    days: int,
    limits: tuple[int, int],
) -> None:
    since = _near(name, offset)
    start = since + limits[0] * DAY
    timetable = _cron(
        schedule,
        timezone=name,
        exclude=[(since + day * DAY).date() for day in excluded],
        startAt=start,
        endAt=start + limits[1] * DAY,
    )
    _expect_the_walk(timetable, since, since + days * DAY)


@pytest.mark.parametrize("on_fold", OnFold)
@pytest.mark.parametrize("on_gap", OnGap)
@pytest.mark.parametrize("change", ["2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"])
def test_a_span_may_begin_and_end_anywhere_around_a_change(
    change: str, on_gap: OnGap, on_fold: OnFold
) -> None:
    timetable = _cron(["*/25 2 * * *"], timezone="Europe/Berlin", onGap=on_gap, onFold=on_fold)
    hours = [datetime.fromisoformat(change) + half * HOUR / 2 for half in range(-5, 6)]
    for since in hours:
        for until in hours:
            _expect_the_walk(timetable, since, until)


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin"])
@pytest.mark.parametrize("more", [[], ["0 * * * * *", "*/2 * * * 1 *"]])
def test_the_seconds_of_a_year_are_counted_at_once(name: str, more: list[str]) -> None:
    timetable = _cron(["* * * * * *", *more], timezone=name, onFold="both")
    began = process_time()
    assert timetable.count(NOW, NOW + 365 * DAY) == 365 * 86_400
    assert process_time() - began < ENOUGH


def test_the_last_second_of_a_month_long_ago_is_found_at_once() -> None:
    timetable = _cron(["* * * * 2 *"])
    began = process_time()
    until = datetime(2027, 12, 31, tzinfo=UTC)
    latest = timetable.latest_until(until, datetime(1970, 1, 1, tzinfo=UTC))
    assert latest == datetime(2027, 2, 28, 23, 59, 59, tzinfo=UTC)
    assert timetable.latest_until(until, latest) is None
    assert process_time() - began < ENOUGH
