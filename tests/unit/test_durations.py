"""Lengths of time as users write them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.durations import (
    MAX_LENGTH,
    MILLISECOND,
    format_duration,
    parse_duration,
    parse_interval,
)

YEAR_IN_MS = 365 * 24 * 60 * 60 * 1000
UNITS_IN_MS = {"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1),
        ("10s", 10),
        ("30s", 30),
        ("2m", 120),
        ("1h", 3600),
        ("007s", 7),
        ("90m", 5400),
        ("8760h", 31_536_000),
        ("525600m", 31_536_000),
        ("31536000s", 31_536_000),
        ("1d", 86_400),
        ("365d", 31_536_000),
    ],
)
def test_an_interval_is_a_whole_number_and_a_unit(text: str, seconds: int) -> None:
    assert parse_interval(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value",
    [
        "10x",
        "0s",
        "0m",
        "0h",
        " 10s",
        "10s ",
        "10 s",
        "-5m",
        "+5m",
        "10s\n",
        "\n10s",
        "10",
        "s",
        "",
        "1.5h",
        "1e3s",
        "1_0s",
        "0x10s",
        "10S",
        "2M",
        "1H",
        "500ms",
        "1w",
        "1D",
        "0d",
        "366d",
        "1h30m",
        "PT10S",
        "\u0661\u0660s",
        "\uff11\uff10s",
        "10\u017f",
        "8761h",
        "525601m",
        "31536001s",
        "99999999999h",
        "9" * 5000 + "s",
        None,
        10,
        10.5,
        True,
        b"10s",
        [],
        ["10s"],
        {"s": 10},
    ],
)
def test_anything_else_is_no_interval(value: object) -> None:
    with pytest.raises(ValueError, match=r"expected|shortest|longest"):
        parse_interval(value)


@pytest.mark.parametrize(
    ("value", "saying"),
    [
        ("10x", r"'10x'.*such as '10s'"),
        ("0s", r"'0s'.*shortest interval is '1s'"),
        ("8761h", r"'8761h'.*365 days"),
        ("3650d", r"is '3650d'; the longest allowed is 365 days"),
        ("1w", r"is '1w'; expected a whole number and a unit s, m, h or d, such as '10s'"),
        (10, r"10; expected"),
    ],
)
def test_a_refusal_repeats_the_value_and_says_what_would_be_right(
    value: object, saying: str
) -> None:
    with pytest.raises(ValueError, match=saying):
        parse_interval(value)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("0ms", 0),
        ("0s", 0),
        ("1ms", 1),
        ("500ms", 500),
        ("2s", 2000),
        ("5m", 300_000),
        ("8760h", YEAR_IN_MS),
        ("0d", 0),
        ("365d", YEAR_IN_MS),
        (f"{YEAR_IN_MS}ms", YEAR_IN_MS),
    ],
)
def test_a_duration_may_be_zero_and_in_milliseconds(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds * MILLISECOND


@pytest.mark.parametrize(
    "value",
    [
        "500 ms",
        "500MS",
        "5us",
        "1w",
        "366d",
        "-1ms",
        "1.5s",
        "5m\n",
        "\u0665m",
        f"{YEAR_IN_MS + 1}ms",
        "99999999999999h",
        "",
        None,
        5,
        0.5,
        True,
    ],
)
def test_anything_else_is_no_duration(value: object) -> None:
    with pytest.raises(ValueError, match=r"expected|longest"):
        parse_duration(value)


def test_the_units_of_a_duration_are_all_named() -> None:
    with pytest.raises(ValueError, match=r"is '7x'; expected .* unit ms, s, m, h or d, such"):
        parse_duration("7x")


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("60s", "1m"),
        ("120s", "2m"),
        ("90s", "90s"),
        ("3600s", "1h"),
        ("60m", "1h"),
        ("61m", "61m"),
        ("24h", "24h"),
        ("0h", "0s"),
        ("0ms", "0s"),
        ("1000ms", "1s"),
        ("1500ms", "1500ms"),
        ("60000ms", "1m"),
        ("007s", "7s"),
        ("8760h", "8760h"),
        ("1d", "24h"),
        ("365d", "8760h"),
    ],
)
def test_the_canonical_form_is_the_largest_unit_that_divides(written: str, canonical: str) -> None:
    assert format_duration(parse_duration(written)) == canonical


@given(st.integers(0, YEAR_IN_MS))
def test_reading_what_was_written_gives_the_same_length(milliseconds: int) -> None:
    length = milliseconds * MILLISECOND
    assert parse_duration(format_duration(length)) == length


@given(st.integers(1, 31_536_000))
def test_an_interval_survives_its_canonical_form(seconds: int) -> None:
    length = timedelta(seconds=seconds)
    assert parse_interval(format_duration(length)) == length


@given(
    st.integers(1, 10_000).flatmap(lambda n: st.sampled_from([n * u for u in UNITS_IN_MS.values()]))
)
def test_no_larger_unit_divides_than_the_one_written(milliseconds: int) -> None:
    text = format_duration(milliseconds * MILLISECOND)
    number = text.rstrip("hms")
    size = UNITS_IN_MS[text[len(number) :]]
    assert int(number) * size == milliseconds
    assert all(milliseconds % larger for larger in UNITS_IN_MS.values() if larger > size)


def test_the_longest_length_is_a_year() -> None:
    assert timedelta(days=365) == MAX_LENGTH == parse_interval("8760h")
