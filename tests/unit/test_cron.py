"""Which local times cron expressions name."""

from datetime import datetime, timedelta

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.cron import read_expression

BEGIN = datetime(2026, 3, 10, 12, 0, 7)  # noqa: DTZ001 - local times have no zone


def _next(expression: str, count: int = 3, after: datetime = BEGIN) -> list[str]:
    found = []
    local: datetime | None = after
    for _ in range(count):
        assert local is not None
        local = read_expression(expression).next_after(local)
        found.append(str(local).removesuffix(":00"))
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("* * * * *", ["2026-03-10 12:01", "2026-03-10 12:02", "2026-03-10 12:03"]),
        ("*/20 23 * * *", ["2026-03-10 23:00", "2026-03-10 23:20", "2026-03-10 23:40"]),
        ("5/25 12 * * *", ["2026-03-10 12:05", "2026-03-10 12:30", "2026-03-10 12:55"]),
        ("0 12 * * *", ["2026-03-11 12:00", "2026-03-12 12:00", "2026-03-13 12:00"]),
        ("0 9-17/4 * * *", ["2026-03-10 13:00", "2026-03-10 17:00", "2026-03-11 09:00"]),
        ("59 23 31 12 *", ["2026-12-31 23:59", "2027-12-31 23:59", "2028-12-31 23:59"]),
        ("0 0 1 jan *", ["2027-01-01 00:00", "2028-01-01 00:00", "2029-01-01 00:00"]),
        ("0 0 31 * *", ["2026-03-31 00:00", "2026-05-31 00:00", "2026-07-31 00:00"]),
        ("0 0 29 2 *", ["2028-02-29 00:00", "2032-02-29 00:00", "2036-02-29 00:00"]),
        ("0 0 30,31 2,3 *", ["2026-03-30 00:00", "2026-03-31 00:00", "2027-03-30 00:00"]),
        ("0 0 * * 0", ["2026-03-15 00:00", "2026-03-22 00:00", "2026-03-29 00:00"]),
        ("0 0 * * 7", ["2026-03-15 00:00", "2026-03-22 00:00", "2026-03-29 00:00"]),
        ("0 0 * * sat,SUN", ["2026-03-14 00:00", "2026-03-15 00:00", "2026-03-21 00:00"]),
        ("0 0 13 * 5", ["2026-03-13 00:00", "2026-03-20 00:00", "2026-03-27 00:00"]),
        ("0 0 */2 * 5", ["2026-03-13 00:00", "2026-03-27 00:00", "2026-04-03 00:00"]),
    ],
)
def test_five_fields(expression: str, expected: list[str]) -> None:
    assert _next(expression) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("* * * * * *", ["2026-03-10 12:00:08", "2026-03-10 12:00:09", "2026-03-10 12:00:10"]),
        ("*/30 * * * * *", ["2026-03-10 12:00:30", "2026-03-10 12:01", "2026-03-10 12:01:30"]),
        ("7 0 12 * * *", ["2026-03-11 12:00:07", "2026-03-12 12:00:07", "2026-03-13 12:00:07"]),
        ("59 59 23 L * *", ["2026-03-31 23:59:59", "2026-04-30 23:59:59", "2026-05-31 23:59:59"]),
    ],
)
def test_a_sixth_field_stands_first_and_is_the_second(expression: str, expected: list[str]) -> None:
    assert _next(expression) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 L * *", ["2026-03-31", "2026-04-30", "2026-05-31"]),
        ("0 0 L 2 *", ["2027-02-28", "2028-02-29", "2029-02-28"]),
        ("0 0 LW * *", ["2026-03-31", "2026-04-30", "2026-05-29"]),
        ("0 0 15,L * *", ["2026-03-15", "2026-03-31", "2026-04-15"]),
        ("0 0 * * 5L", ["2026-03-27", "2026-04-24", "2026-05-29"]),
        ("0 0 * * 5#3", ["2026-03-20", "2026-04-17", "2026-05-15"]),
        ("0 0 * * MON#1", ["2026-04-06", "2026-05-04", "2026-06-01"]),
        ("0 0 * * 1#5", ["2026-03-30", "2026-06-29", "2026-08-31"]),
        ("0 0 * * 1#1,1#3", ["2026-03-16", "2026-04-06", "2026-04-20"]),
    ],
)
def test_last_and_nth_days(expression: str, expected: list[str]) -> None:
    assert _next(expression) == [f"{day} 00:00" for day in expected]


@pytest.mark.parametrize(
    ("nickname", "expression"),
    [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * SUN"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
        ("@Hourly", "0 * * * *"),
    ],
)
def test_nicknames(nickname: str, expression: str) -> None:
    assert _next(nickname) == _next(expression)


def test_a_fraction_of_a_second_is_before_the_next_second() -> None:
    half_past = BEGIN + timedelta(milliseconds=500)
    assert _next("* * * * * *", 1, half_past) == ["2026-03-10 12:00:08"]


def _part(lowest: int, highest: int) -> st.SearchStrategy[str]:
    number = st.integers(lowest, highest)
    span = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    step = st.tuples(st.just("*") | span, st.integers(1, 20)).map(
        lambda pair: "/".join(map(str, pair))
    )
    return st.lists(number.map(str) | span | step, min_size=1, max_size=3).map(",".join)


def _field(lowest: int, highest: int, *more: str) -> st.SearchStrategy[str]:
    return st.just("*") | _part(lowest, highest) | st.sampled_from(["*", *more])


EXPRESSIONS = st.tuples(
    _field(0, 59),
    _field(0, 59),
    _field(0, 23),
    _field(1, 28, "L", "LW", "31,L"),
    _field(1, 12),
    _field(0, 7, "5L", "1#2,3#4"),
).map(" ".join)
MOMENTS = st.datetimes(datetime(1999, 12, 1), datetime(2030, 1, 1))  # noqa: DTZ001


@given(EXPRESSIONS, MOMENTS)
def test_the_times_are_those_that_the_library_walks_to(expression: str, begin: datetime) -> None:
    walk = CronSim(expression, begin)
    local: datetime | None = begin
    for _ in range(5):
        assert local is not None
        local = read_expression(expression).next_after(local)
        assert local == next(walk, None)
        if local is None:
            return
