"""Lengths of time as people read them."""

from datetime import timedelta

import pytest

from shared.domain.lengths import readable


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(), "0 ms"),
        (timedelta(milliseconds=9_999), "9999 ms"),
        (timedelta(seconds=10), "10.0 s"),
        (timedelta(milliseconds=88_473), "88.5 s"),
        (timedelta(seconds=120), "2m"),
        (timedelta(seconds=3_599), "59m 59s"),
        (timedelta(hours=1, seconds=59), "1h"),
        (timedelta(milliseconds=1_289_029_500), "14d 22h"),
        (timedelta(days=400, minutes=5), "400d"),
    ],
)
def test_a_length_is_told_in_its_two_largest_units(length: timedelta, text: str) -> None:
    assert readable(length) == text
