"""When to try again."""

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.domain.retry import Backoff, RetryPolicy, backoff_delay, next_attempt_at
from tests.support.builders import NOW, SECOND

MS = timedelta(milliseconds=1)
HOUR = timedelta(hours=1)
EVEN = 0.5

BACKOFFS = st.builds(
    Backoff,
    initial=st.integers(0, 10**7).map(lambda n: n * MS),
    factor=st.floats(1, 10),
    max=st.integers(0, 10**9).map(lambda n: n * MS),
    jitter=st.floats(0, 1),
)
SPREADS = st.floats(0, 1, exclude_max=True)
FAILURES = st.integers(1, 51)


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 2), (2, 4), (3, 8), (4, 16), (7, 128), (8, 256), (9, 300)]
)
def test_the_default_backoff_doubles_from_two_seconds_to_five_minutes(
    failures: int, seconds: int
) -> None:
    assert backoff_delay(Backoff(), failures, EVEN) == seconds * SECOND


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 2), (2, 4), (3, 8), (4, None), (5, None), (100, None)]
)
def test_the_default_policy_tries_again_three_times(failures: int, seconds: int | None) -> None:
    at = next_attempt_at(RetryPolicy(), failures=failures, now=NOW, spread=EVEN)
    assert at == (None if seconds is None else NOW + seconds * SECOND)


@pytest.mark.parametrize(
    ("spread", "milliseconds"), [(0.0, 1600), (0.25, 1800), (0.5, 2000), (0.75, 2200)]
)
def test_jitter_spreads_a_wait_to_both_sides(spread: float, milliseconds: int) -> None:
    assert backoff_delay(Backoff(), 1, spread) == milliseconds * MS


@pytest.mark.parametrize(
    ("backoff", "failures", "expected"),
    [
        (Backoff(initial=SECOND, factor=1), 50, SECOND),
        (Backoff(initial=SECOND, factor=10), 4, 300 * SECOND),
        (Backoff(initial=SECOND, factor=1.5), 3, timedelta(seconds=2.25)),
        (Backoff(initial=timedelta()), 9, timedelta()),
        (Backoff(max=timedelta()), 9, timedelta()),
        (Backoff(initial=HOUR), 1, timedelta(minutes=5)),
    ],
)
def test_the_wait_grows_by_the_factor_and_stops_at_the_cap(
    backoff: Backoff, failures: int, expected: timedelta
) -> None:
    assert backoff_delay(backoff, failures, EVEN) == expected


@given(BACKOFFS, FAILURES, SPREADS)
def test_a_wait_stays_within_its_jitter_and_its_cap(
    backoff: Backoff, failures: int, spread: float
) -> None:
    plain = Fraction(backoff.initial // MS) * Fraction(backoff.factor) ** (failures - 1)
    longest = Fraction(backoff.max // MS)
    jitter = Fraction(backoff.jitter)
    delay = Fraction(backoff_delay(backoff, failures, spread) // MS)
    slack = 1 + plain / 10**12
    assert delay <= min(longest, plain * (1 + jitter) + slack)
    assert delay >= min(longest, plain * (1 - jitter) - slack)


@given(BACKOFFS, FAILURES)
def test_a_spread_of_one_half_is_no_jitter(backoff: Backoff, failures: int) -> None:
    calm = backoff.model_copy(update={"jitter": 0.0})
    assert backoff_delay(backoff, failures, EVEN) == backoff_delay(calm, failures, EVEN)


@given(BACKOFFS, FAILURES, SPREADS)
def test_a_wait_is_in_whole_milliseconds(backoff: Backoff, failures: int, spread: float) -> None:
    assert backoff_delay(backoff, failures, spread) % MS == timedelta()


@given(BACKOFFS, FAILURES, SPREADS)
def test_another_failure_never_shortens_the_wait(
    backoff: Backoff, failures: int, spread: float
) -> None:
    now, then = (backoff_delay(backoff, failures + n, spread) for n in (0, 1))
    assert now <= then


@pytest.mark.parametrize("failures", [51, 300, 309, 1000, 10**6])
@pytest.mark.parametrize("spread", [0.0, 0.5, 0.999])
def test_huge_exponents_end_at_the_cap(failures: int, spread: float) -> None:
    backoff = Backoff(initial=2 * SECOND, factor=10.0, jitter=0.0)
    assert backoff_delay(backoff, failures, spread) == backoff.max


@pytest.mark.parametrize(
    ("retry_after", "expected"),
    [
        (timedelta(), 2 * SECOND),
        (SECOND, 2 * SECOND),
        (2 * SECOND, 2 * SECOND),
        (3 * SECOND, 3 * SECOND),
        (10 * 60 * SECOND, 10 * 60 * SECOND),
        (24 * HOUR, 24 * HOUR),
        (24 * HOUR + MS, 24 * HOUR),
        (timedelta(days=9999), 24 * HOUR),
    ],
)
def test_a_longer_retry_after_is_honoured_up_to_a_day(
    retry_after: timedelta, expected: timedelta
) -> None:
    at = next_attempt_at(RetryPolicy(), failures=1, now=NOW, spread=EVEN, retry_after=retry_after)
    assert at == NOW + expected


def test_a_backoff_beyond_a_day_is_not_cut_by_a_retry_after() -> None:
    policy = RetryPolicy(backoff=Backoff(initial=48 * HOUR, max=48 * HOUR, jitter=0))
    at = next_attempt_at(policy, failures=1, now=NOW, spread=EVEN, retry_after=30 * HOUR)
    assert at == NOW + 48 * HOUR


def test_a_retry_after_does_not_bring_back_retries_that_are_used_up() -> None:
    retries_none = RetryPolicy(retries=0)
    assert (
        next_attempt_at(retries_none, failures=1, now=NOW, spread=EVEN, retry_after=SECOND) is None
    )


@given(st.integers(0, 50), st.integers(1, 60), SPREADS)
def test_there_are_exactly_as_many_retries_as_the_policy_says(
    retries: int, failures: int, spread: float
) -> None:
    policy = RetryPolicy(retries=retries)
    at = next_attempt_at(policy, failures=failures, now=NOW, spread=spread)
    assert (at is not None) == (failures <= retries)


@pytest.mark.parametrize(
    "document",
    [
        {"retries": -1},
        {"retries": 51},
        {"retries": 1.5},
        {"retries": "3"},
        {"retries": True},
        {"backoff": {"factor": 0.99}},
        {"backoff": {"factor": 10.01}},
        {"backoff": {"factor": float("nan")}},
        {"backoff": {"factor": "2"}},
        {"backoff": {"jitter": -0.1}},
        {"backoff": {"jitter": 1.1}},
        {"backoff": {"initial": "2"}},
        {"backoff": {"max": "-5m"}},
        {"backoff": {"maximum": "5m"}},
    ],
)
def test_a_policy_outside_its_limits_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RetryPolicy.model_validate(document)
