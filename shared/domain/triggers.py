"""What starts a workflow: an interval, cron expressions, one instant, or somebody by hand."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel

from shared.domain.durations import Duration, Interval, format_duration
from shared.domain.instants import Instant
from shared.domain.trigger_fields import (
    UTC_ZONE,
    CalendarDates,
    CatchUpWindow,
    CronExpressions,
    EndAt,
    Jitter,
    ManualTriggerId,
    MaxRuns,
    StartAt,
    Timezone,
    TriggerId,
)

_MODEL = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


class OnGap(StrEnum):
    """What becomes of a local time that the clocks jump over."""

    SKIP = "skip"
    NEXT_VALID = "next-valid"


class OnFold(StrEnum):
    """What becomes of a local time that comes twice."""

    FIRST = "first"
    SECOND = "second"
    BOTH = "both"


class CatchUp(StrEnum):
    """What becomes of instants that passed while no scheduler was there."""

    LATEST = "latest"
    ALL = "all"
    NONE = "none"


_DEFAULTS: Final = frozenset({OnGap.NEXT_VALID, OnFold.FIRST, CatchUp.LATEST, UTC_ZONE, ()})


def _is_default(value: object) -> bool:
    return value in _DEFAULTS


CatchUpPolicy = Annotated[
    CatchUp,
    Field(
        exclude_if=_is_default,
        description="What fires of the instants that passed while no scheduler was there. latest: "
        "the last one. all: each, the oldest first, up to the last 100; one that meets an "
        "unfinished execution waits for its turn. none: what is not later than a minute, "
        "as far as it is the last one. The others are recorded as skipped.",
    ),
]
"""A pydantic field type for what a trigger does about instants that have passed."""


class PeriodicTrigger(BaseModel):
    """Runs the workflow every `interval`: first one interval after it was created, or at `startAt`.

    With a `phase` it runs at the same instants whenever it was created.
    """

    model_config = _MODEL

    id: TriggerId | None = None
    type: Literal["periodic"]
    interval: Interval
    start_at: Annotated[
        StartAt,
        Field(
            description="It does not fire before this instant; without a phase, the intervals "
            "count from it."
        ),
    ] = None
    end_at: EndAt = None
    phase: Annotated[
        Duration | None,
        Field(
            description="Fires this long after whole multiples of the interval since "
            "1970-01-01T00:00Z: an interval of '1h' with '5m' is five past every hour (UTC). "
            "Shorter than the interval."
        ),
    ] = None
    catch_up: CatchUpPolicy = CatchUp.LATEST
    catch_up_window: CatchUpWindow = None
    jitter: Jitter = None
    max_runs: MaxRuns = None

    @field_validator("phase", "jitter", mode="after")
    @classmethod
    def _within_interval(cls, length: timedelta | None, info: ValidationInfo) -> timedelta | None:
        interval = info.data.get("interval")
        if length is not None and interval is not None and length >= interval:
            given, limit = format_duration(length), format_duration(interval)
            raise ValueError(f"is '{given}'; it must be shorter than the interval, '{limit}'")
        return length


class CronTrigger(BaseModel):
    """Runs the workflow at the local times that cron expressions name, in one time zone."""

    model_config = _MODEL

    id: TriggerId | None = None
    type: Literal["cron"]
    schedule: Annotated[
        CronExpressions,
        Field(
            description="An expression, or a list of at most 10: minute, hour, day of the month, "
            "month, day of the week; 6 fields begin with the second. `L` is the last day of the "
            "month, `LW` its last weekday, `5L` its last Friday, `5#3` its third. A day that "
            "either of two restricted day fields names counts; if one begins with `*`, both "
            "must. Nicknames: `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`."
        ),
    ]
    timezone: Annotated[
        Timezone,
        Field(
            exclude_if=_is_default,
            description="Whose local time it is: an IANA name, such as 'Europe/Berlin'.",
        ),
    ] = UTC_ZONE
    exclude: Annotated[
        CalendarDates,
        Field(
            exclude_if=_is_default,
            description="Calendar dates, in the time zone, on which it does not fire.",
        ),
    ] = ()
    on_gap: Annotated[
        OnGap,
        Field(
            exclude_if=_is_default,
            description="A local time that the clocks jump over. skip: does not fire. next-valid: "
            "fires when the clocks have jumped; several such times fire once.",
        ),
    ] = OnGap.NEXT_VALID
    on_fold: Annotated[
        OnFold,
        Field(
            exclude_if=_is_default,
            description="A local time that comes twice, as clocks are set back: fires at the "
            "first, the second, or both.",
        ),
    ] = OnFold.FIRST
    start_at: StartAt = None
    end_at: EndAt = None
    catch_up: CatchUpPolicy = CatchUp.LATEST
    catch_up_window: CatchUpWindow = None
    jitter: Jitter = None
    max_runs: MaxRuns = None


class OnceTrigger(BaseModel):
    """Runs the workflow once, at an instant."""

    model_config = _MODEL

    id: TriggerId | None = None
    type: Literal["once"]
    at: Annotated[Instant, Field(description="When; if it has passed already, never.")]


class ManualTrigger(BaseModel):
    """Runs the workflow only when somebody triggers it."""

    model_config = _MODEL

    id: ManualTriggerId | None = None
    type: Literal["manual"]


class ForeignTrigger(BaseModel):
    """A stored trigger that cannot be read here, as a later release wrote it: kept, never due."""

    model_config = ConfigDict(extra="allow", frozen=True)

    id: str | None = None
    type: str


Trigger = Annotated[
    PeriodicTrigger | CronTrigger | OnceTrigger | ManualTrigger, Field(discriminator="type")
]


def max_runs_of(trigger: Trigger | ForeignTrigger) -> int | None:
    """Return how often a trigger fires until it comes to its end, if that is limited so."""
    return trigger.max_runs if isinstance(trigger, PeriodicTrigger | CronTrigger) else None
