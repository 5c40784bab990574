"""When to try again, as a value: a policy plus how often it failed gives an instant, or nothing."""

from datetime import datetime, timedelta
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.domain.durations import MILLISECOND, Duration

MAX_RETRIES: Final = 50
LONGEST_RETRY_AFTER: Final = timedelta(hours=24)

_MODEL = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


class Backoff(BaseModel):
    """The wait before retry n is `initial * factor ** (n - 1)`, spread by jitter, then capped."""

    model_config = _MODEL

    initial: Annotated[Duration, Field(description="The wait before the first retry.")] = timedelta(
        seconds=2
    )
    factor: Annotated[
        float,
        Field(
            ge=1,
            le=10,
            allow_inf_nan=False,
            strict=True,
            description="What each wait is multiplied with to get the next.",
        ),
    ] = 2
    max: Annotated[Duration, Field(description="No wait is longer.")] = timedelta(minutes=5)
    jitter: Annotated[
        float,
        Field(
            ge=0, le=1, allow_inf_nan=False, strict=True, description="0.2 spreads a wait by ±20 %."
        ),
    ] = 0.2


class RetryPolicy(BaseModel):
    """How often a failed action is tried again; the first call does not count as a retry."""

    model_config = _MODEL

    retries: Annotated[
        int, Field(ge=0, le=MAX_RETRIES, strict=True, description="Calls after the first one.")
    ] = 3
    backoff: Annotated[Backoff, Field(description="How long to wait between two calls.")] = (
        Backoff()
    )


def backoff_delay(backoff: Backoff, failures: int, spread: float) -> timedelta:
    """Return the wait after the given number of failures (1 or more).

    `spread` is a number in [0, 1) that the caller draws; 0.5 means no jitter.
    Jitter comes before the cap, so `max` is never exceeded.
    """
    longest = backoff.max / MILLISECOND
    try:
        plain = backoff.initial / MILLISECOND * backoff.factor ** (failures - 1)
    except OverflowError:
        plain = longest
    jittered = plain * (1 + backoff.jitter * (2 * spread - 1))
    return int(min(jittered, longest)) * MILLISECOND


def next_attempt_at(
    policy: RetryPolicy,
    *,
    failures: int,
    now: datetime,
    spread: float,
    retry_after: timedelta | None = None,
    at_once: bool = False,
    endless: bool = False,
) -> datetime | None:
    """Return when to try again, or None when the retries are used up, unless they are endless.

    A `retry_after` that the other side asked for (RFC 9110, 10.2.3) is honoured
    up to 24 hours when it is longer than the backoff, or than nothing if `at_once`.
    """
    if failures > policy.retries and not endless:
        return None
    delay = timedelta() if at_once else backoff_delay(policy.backoff, failures, spread)
    if retry_after is not None:
        delay = max(delay, min(retry_after, LONGEST_RETRY_AFTER))
    return now + delay
