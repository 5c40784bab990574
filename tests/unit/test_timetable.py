"""When triggers fire by themselves."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from shared.domain.timetable import Timetable, timetable_of
from shared.domain.triggers import OnFold, OnGap, PeriodicTrigger, Trigger
from shared.domain.zones import zone
from tests.support.builders import NOW, SECOND
from tests.unit.minutes import Minutes

TRIGGERS: TypeAdapter[Trigger] = TypeAdapter(Trigger)
MS = timedelta(milliseconds=1)
HOUR = timedelta(hours=1)
BERLIN = {"timezone": "Europe/Berlin"}


def _timetable(created_at: datetime = NOW, **trigger: Any) -> Timetable:
    timetable = timetable_of(TRIGGERS.validate_python(trigger), created_at)
    assert timetable is not None
    return timetable


def _cron(*schedule: str, **fields: Any) -> Timetable:
    return _timetable(type="cron", schedule=schedule, **fields)


def _periodic(**fields: Any) -> Timetable:
    return _timetable(type="periodic", **fields)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _instants(timetable: Timetable, after: datetime) -> Iterator[datetime]:
    at = timetable.next_after(after)
    while at is not None:
        yield at
        at = timetable.next_after(at)


def _next(timetable: Timetable, after: str, count: int = 3) -> list[str]:
    found = _instants(timetable, _at(after))
    return [f"{at:%Y-%m-%d %H:%M}" for at, _ in zip(found, range(count), strict=False)]


def test_a_manual_trigger_has_no_timetable() -> None:
    assert timetable_of(TRIGGERS.validate_python({"type": "manual"}), NOW) is None


def test_intervals_count_from_the_creation_and_the_first_is_one_later() -> None:
    every = _periodic(interval="10s")
    assert every.next_after(NOW - HOUR) == NOW + 10 * SECOND
    assert every.next_after(NOW) == NOW + 10 * SECOND
    assert every.next_after(NOW + 10 * SECOND - MS) == NOW + 10 * SECOND
    assert every.next_after(NOW + 10 * SECOND) == NOW + 20 * SECOND


@given(st.integers(1, 10_000), st.integers(0, 10**9))
def test_intervals_never_drift(step: int, late: int) -> None:
    interval, now = step * SECOND, NOW + late * MS
    every = _periodic(interval=f"{step}s")
    passed = (now - NOW) // interval
    assert every.count(NOW, now) == passed
    assert every.latest_until(now, NOW) == (NOW + passed * interval if passed else None)
    assert every.next_after(now) == NOW + (passed + 1) * interval


def test_intervals_with_a_start_count_from_it() -> None:
    every = _periodic(interval="1h", startAt="2026-03-01T00:30:00Z", endAt="2026-03-01T02:30:00Z")
    expected = ["2026-03-01 00:30", "2026-03-01 01:30", "2026-03-01 02:30"]
    assert _next(every, "2020-01-01", 9) == expected
    assert _next(every, "2026-03-01 00:29:59.999", 9) == expected
    assert _next(every, "2026-03-01 00:30", 9) == expected[1:]


def test_intervals_with_a_phase_do_not_depend_on_the_creation() -> None:
    for created_at in (NOW, NOW + 7 * SECOND):
        every = _timetable(created_at, type="periodic", interval="6h", phase="5m")
        assert _next(every, "2026-03-01 00:05") == [
            *("2026-03-01 06:05", "2026-03-01 12:05", "2026-03-01 18:05")
        ]


@pytest.mark.parametrize(
    ("start", "first"),
    [
        ("2026-03-01T06:05:00Z", "2026-03-01 06:05"),
        ("2026-03-01T06:05:00.001Z", "2026-03-01 12:05"),
        ("2026-03-01T06:04:59.999Z", "2026-03-01 06:05"),
    ],
)
def test_a_phase_begins_at_the_start_and_ends_at_the_end(start: str, first: str) -> None:
    every = _periodic(interval="6h", phase="5m", startAt=start, endAt="2026-03-01T18:05:00Z")
    assert _next(every, "2020-01-01", 9)[0] == first
    assert _next(every, "2020-01-01", 9)[-1] == "2026-03-01 18:05"


def test_once_is_once() -> None:
    once = _timetable(type="once", at="2026-03-01T00:00:00Z")
    at = _at("2026-03-01")
    assert list(_instants(once, NOW - 9999 * HOUR)) == [at]
    assert once.next_after(at) is None
    assert (once.latest_until(at, at - MS), once.latest_until(at - MS, NOW)) == (at, None)
    assert once.latest_until(at + HOUR, at) is None
    assert (once.count(at - MS, at), once.count(at, at + HOUR)) == (1, 0)


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        ("0 0 31 * *", "2026-01-31", ["2026-03-31 00:00", "2026-05-31 00:00", "2026-07-31 00:00"]),
        ("0 0 29 2 *", "2026-01-01", ["2028-02-29 00:00", "2032-02-29 00:00", "2036-02-29 00:00"]),
        ("59 23 * * *", "2026-12-31", ["2026-12-31 23:59", "2027-01-01 23:59", "2027-01-02 23:59"]),
        ("@yearly", "2026-12-31", ["2027-01-01 00:00", "2028-01-01 00:00", "2029-01-01 00:00"]),
    ],
)
def test_cron_is_in_utc_unless_it_says_otherwise(
    schedule: str, after: str, expected: list[str]
) -> None:
    assert _next(_cron(schedule), after) == expected


def test_cron_follows_the_clocks_of_its_zone() -> None:
    nine = _cron("0 9 * * *", **BERLIN)
    assert _next(nine, "2026-03-28") == ["2026-03-28 08:00", "2026-03-29 07:00", "2026-03-30 07:00"]
    kathmandu = _cron("0 0 1 1 *", timezone="Asia/Kathmandu")
    assert _next(kathmandu, "2026-12-01", 1) == ["2026-12-31 18:15"]


def test_several_expressions_fire_together_once() -> None:
    both = _cron("0 */12 * * *", "0 9 * * *", "0 12 * * *")
    assert _next(both, "2026-03-01", 4) == [
        *("2026-03-01 09:00", "2026-03-01 12:00", "2026-03-02 00:00", "2026-03-02 09:00")
    ]


def test_nothing_fires_on_excluded_dates_of_the_zone() -> None:
    dates = ["2026-12-25", "2026-12-26"]
    daily = _cron("0 0 * * *", exclude=dates, timezone="Asia/Tokyo")
    assert _next(daily, "2026-12-24", 2) == ["2026-12-26 15:00", "2026-12-27 15:00"]
    noon = _cron("0 0 25 12 *", exclude=dates)
    assert _next(noon, "2026-01-01", 1) == ["2027-12-25 00:00"]


def test_cron_fires_from_the_start_to_the_end_and_at_both() -> None:
    limits = {"startAt": "2026-03-01T01:00:00+01:00", "endAt": "2026-03-01T02:00:00Z"}
    hourly = _cron("@hourly", **limits)
    expected = ["2026-03-01 00:00", "2026-03-01 01:00", "2026-03-01 02:00"]
    assert _next(hourly, "2020-01-01", 9) == expected
    assert _next(hourly, "2026-03-01 00:00", 9) == expected[1:]
    assert _next(_cron("@yearly", **limits), "2020-01-01") == []


@pytest.mark.parametrize(
    ("schedule", "on_gap", "expected"),
    [
        ("30 2 * * *", "next-valid", ["03-28 01:30", "03-29 01:00", "03-30 00:30"]),
        ("30 2 * * *", "skip", ["03-28 01:30", "03-30 00:30", "03-31 00:30"]),
        ("*/40 2,3 * * *", "next-valid", ["03-28 01:40", "03-28 02:00", "03-28 02:40"]),
        ("*/40 2,3 29 * *", "next-valid", ["03-29 01:00", "03-29 01:40"]),
        ("*/40 2,3 29 * *", "skip", ["03-29 01:00", "03-29 01:40"]),
        ("0 3 * * *", "skip", ["03-28 02:00", "03-29 01:00", "03-30 01:00"]),
        ("0 2 29 3 *", "next-valid", ["03-29 01:00"]),
    ],
)
def test_a_local_time_in_a_gap(schedule: str, on_gap: str, expected: list[str]) -> None:
    local = _cron(schedule, onGap=on_gap, **BERLIN, endAt="2026-03-31T12:00:00Z")
    assert [at[5:] for at in _next(local, "2026-03-28 01:20")] == expected


@pytest.mark.parametrize(
    ("schedule", "on_fold", "expected"),
    [
        ("30 2 * * *", "first", ["10-24 00:30", "10-25 00:30", "10-26 01:30"]),
        ("30 2 * * *", "second", ["10-24 00:30", "10-25 01:30", "10-26 01:30"]),
        ("30 2 * * *", "both", ["10-24 00:30", "10-25 00:30", "10-25 01:30"]),
        ("0 2,3 25 10 *", "first", ["10-25 00:00", "10-25 02:00"]),
        ("0 2,3 25 10 *", "second", ["10-25 01:00", "10-25 02:00"]),
        ("0,45 2 25 10 *", "both", ["10-25 00:00", "10-25 00:45", "10-25 01:00"]),
    ],
)
def test_a_local_time_in_a_fold(schedule: str, on_fold: str, expected: list[str]) -> None:
    local = _cron(schedule, onFold=on_fold, **BERLIN, endAt="2026-10-30T12:00:00Z")
    assert [at[5:] for at in _next(local, "2026-10-24 00:00")] == expected


def test_a_day_that_a_zone_never_had_is_a_gap_like_any_other() -> None:
    # Samoa went from the 29th to the 31st of December 2011.
    limits = {"timezone": "Pacific/Apia", "endAt": "2012-01-01T12:00:00Z"}
    assert _next(_cron("0 12 * * *", **limits), "2011-12-29") == [
        *("2011-12-29 22:00", "2011-12-30 10:00", "2011-12-30 22:00")
    ]
    assert _next(_cron("0 12 * * *", onGap="skip", **limits), "2011-12-29") == [
        *("2011-12-29 22:00", "2011-12-30 22:00", "2011-12-31 22:00")
    ]


def test_the_very_second_of_a_change() -> None:
    every = _cron("* * * * * *", **BERLIN, onFold="both")
    change = _at("2026-10-25 01:00")
    assert every.next_after(change - SECOND) == change
    assert every.next_after(change - MS) == change
    assert every.count(change - HOUR, change + HOUR) == 2 * 3600


SHAPES = ["*/7 * * * *", "30 2 * * *", "0 1,2,3 * * *", "59 * * * 0"]
CHANGES = [_at("2026-03-29 01:00"), _at("2026-10-25 01:00")]


@given(
    st.sampled_from(SHAPES),
    st.sampled_from(OnGap),
    st.sampled_from(OnFold),
    st.sampled_from(CHANGES),
    st.integers(-5 * 3600, 5 * 3600),
    st.integers(0, 5 * 3600),
)
def test_any_span_around_a_change_has_what_the_oracle_says(
    shape: str, on_gap: OnGap, on_fold: OnFold, change: datetime, begin: int, length: int
) -> None:
    minutes = Minutes(zone("Europe/Berlin"), change - 30 * HOUR, change + 30 * HOUR)
    expected = minutes.meant(shape).fires(on_gap, on_fold)
    since, until = change + begin * SECOND, change + (begin + length) * SECOND
    timetable = _cron(shape, onGap=on_gap, onFold=on_fold, **BERLIN)
    within = [at for at in expected if since < at <= until]
    assert timetable.count(since, until) == len(within)
    assert timetable.latest_until(until, since) == max(within, default=None)
    assert timetable.next_after(since) == next((at for at in expected if at > since), None)


def test_a_hundred_thousand_instants_are_counted() -> None:
    every = _cron("* * * * *", **BERLIN)
    until = NOW + timedelta(minutes=100_000)
    assert every.count(NOW, until) == 100_000
    assert every.latest_until(until, NOW) == until


@pytest.mark.parametrize(
    ("schedule", "latest"),
    [("@yearly", "2026-01-01"), ("0 0 29 2 *", "2024-02-29"), ("* * * * *", "2026-06-01 12:00")],
)
def test_the_latest_of_a_long_time_is_found(schedule: str, latest: str) -> None:
    assert _cron(schedule).latest_until(_at("2026-06-01 12:00:30"), _at("2000-01-01")) == _at(
        latest
    )


@given(st.integers(1, 5000), st.integers(0, 10**5), st.integers(0, 10**5), st.integers(0, 10**5))
def test_a_grid_counts_what_it_names(step: int, start: int, begin: int, end: int) -> None:
    trigger = PeriodicTrigger(
        type="periodic",
        interval=timedelta(seconds=step),
        startAt=NOW + start * SECOND,
        endAt=NOW + (start + end) * SECOND,
    )
    timetable = timetable_of(trigger, NOW)
    assert timetable is not None
    since, until = NOW + begin * SECOND, NOW + (begin + 20 * step) * SECOND
    named = [at for at in _instants(timetable, since) if at <= until]
    assert timetable.count(since, until) == len(named)
    assert timetable.latest_until(until, since) == (named[-1] if named else None)
