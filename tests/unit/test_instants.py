"""Instants: UTC, in whole milliseconds."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.instants import format_instant, instant

INSTANTS = st.datetimes(
    min_value=datetime(1902, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(9998, 12, 31),  # noqa: DTZ001
    timezones=st.sampled_from(
        [UTC, timezone(timedelta(hours=5, minutes=45)), timezone(-timedelta(hours=9, minutes=30))]
    ),
)


@pytest.mark.parametrize(
    ("given_at", "expected"),
    [
        (datetime(2026, 1, 31, 2, tzinfo=UTC), "2026-01-31T02:00:00.000Z"),
        (datetime(2026, 1, 31, 2, 0, 0, 123_999, tzinfo=UTC), "2026-01-31T02:00:00.123Z"),
        (datetime(2026, 1, 31, 2, 0, 0, 999_999, tzinfo=UTC), "2026-01-31T02:00:00.999Z"),
        (
            datetime(2026, 1, 31, 1, 30, tzinfo=timezone(timedelta(hours=2))),
            "2026-01-30T23:30:00.000Z",
        ),
        (
            datetime(2025, 12, 31, 20, tzinfo=timezone(-timedelta(hours=5))),
            "2026-01-01T01:00:00.000Z",
        ),
    ],
)
def test_the_text_of_an_instant_is_utc_with_milliseconds(given_at: datetime, expected: str) -> None:
    assert format_instant(given_at) == expected
    assert format_instant(instant(given_at)) == expected


@given(INSTANTS)
def test_an_instant_is_rounded_down_by_less_than_a_millisecond(value: datetime) -> None:
    rounded = instant(value)
    assert rounded.tzinfo is UTC
    assert rounded.microsecond % 1000 == 0
    assert timedelta() <= value - rounded < timedelta(milliseconds=1)
    assert instant(rounded) == rounded


@given(INSTANTS)
def test_the_text_reads_back_as_the_same_instant(value: datetime) -> None:
    assert datetime.fromisoformat(format_instant(value)) == instant(value)


@given(INSTANTS, INSTANTS)
def test_texts_sort_like_instants(one: datetime, other: datetime) -> None:
    earlier, later = sorted((instant(one), instant(other)))
    assert (format_instant(earlier) < format_instant(later)) == (earlier < later)
