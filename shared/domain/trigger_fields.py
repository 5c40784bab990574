"""The types of the fields of triggers: cron expressions, zones, calendar dates, limits."""

import re
from collections.abc import Iterable
from datetime import date, datetime
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
)

from shared.domain.cron import MAX_EXPRESSION, read_expression
from shared.domain.durations import PositiveDuration
from shared.domain.instants import Instant, format_instant
from shared.domain.zones import MAX_NAME, zone

MAX_EXPRESSIONS: Final = 10
MAX_EXCLUDED: Final = 366
MOST_RUNS: Final = 1_000_000_000
UTC_ZONE: Final = "UTC"
BY_HAND: Final = "manual"
"""What executions that somebody triggered by hand name as their trigger."""

_DATE_PATTERN: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"


def _not_before_start(end: datetime | None, info: ValidationInfo) -> datetime | None:
    start = info.data.get("start_at")
    if end is not None and start is not None and end < start:
        raise ValueError(f"is {format_instant(end)}, before startAt ({format_instant(start)})")
    return end


def _not_by_hand(trigger_id: str) -> str:
    if trigger_id == BY_HAND:
        raise ValueError(f"is '{BY_HAND}', which is what executions triggered by hand name")
    return trigger_id


def _listed(value: object) -> object:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list | tuple):
        raise ValueError(  # noqa: TRY004 - pydantic reports ValueErrors
            "must be a cron expression such as '0 2 * * *', or a list of them"
        )
    return value


def _readable(text: str) -> str:
    tidy = " ".join(text.split())
    read_expression(tidy)
    return tidy.lower() if tidy.startswith("@") else tidy.upper()


def _one_or_list(texts: tuple[str, ...]) -> str | list[str]:
    return texts[0] if len(texts) == 1 else list(texts)


def _parse_date(value: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not re.fullmatch(_DATE_PATTERN, value):
        raise ValueError(f"is {value!r}; expected a calendar date such as '2026-12-25'")
    try:
        return date.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"is '{value}', which is no date: {error}") from error


def _known_zone(name: str) -> str:
    zone(name)
    return name


def _in_order(dates: Iterable[date]) -> tuple[date, ...]:
    return tuple(sorted(set(dates)))


ManualTriggerId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="Unique within the workflow; by default its type, and from the second of a "
        "type on with a number, as in 'cron-2'.",
    ),
]
"""A pydantic field type for what a trigger is called that does not fire by itself."""

TriggerId = Annotated[ManualTriggerId, AfterValidator(_not_by_hand)]
"""A pydantic field type for what a trigger is called in ids and answers."""

_STRING: Final = {"type": "string", "maxLength": MAX_EXPRESSION}
CronExpressions = Annotated[
    tuple[Annotated[str, AfterValidator(_readable)], ...],
    Field(min_length=1, max_length=MAX_EXPRESSIONS),
    BeforeValidator(_listed),
    PlainSerializer(_one_or_list),
    WithJsonSchema(
        {
            "anyOf": [
                _STRING,
                {"type": "array", "items": _STRING, "minItems": 1, "maxItems": MAX_EXPRESSIONS},
            ],
            "examples": ["0 2 * * *", ["0 9 * * MON-FRI", "0 12 * * SAT"], "@daily"],
        }
    ),
]
"""A pydantic field type: one cron expression, or a list of them."""

CalendarDate = Annotated[
    date,
    BeforeValidator(_parse_date),
    PlainSerializer(date.isoformat, return_type=str),
    WithJsonSchema({"type": "string", "format": "date", "examples": ["2026-12-25"]}),
]
"""A pydantic field type for a day of the calendar."""

Timezone = Annotated[str, Field(max_length=MAX_NAME), AfterValidator(_known_zone)]
"""A pydantic field type for the IANA name of a time zone."""

CalendarDates = Annotated[
    tuple[CalendarDate, ...], Field(max_length=MAX_EXCLUDED), AfterValidator(_in_order)
]
"""A pydantic field type for days of the calendar: each once, in order."""

StartAt = Annotated[Instant | None, Field(description="It does not fire before this instant.")]
"""A pydantic field type for the instant before which a trigger does not fire."""

EndAt = Annotated[
    Instant | None,
    AfterValidator(_not_before_start),
    Field(description="It does not fire after this instant."),
]
"""A pydantic field type for the end of what `start_at`, an earlier field, begins."""

CatchUpWindow = Annotated[
    PositiveDuration | None,
    Field(
        description="An instant whose turn comes later than this does not fire, and is recorded "
        "as skipped (window). Without it there is no such limit."
    ),
]
"""A pydantic field type for how late an instant may still fire."""

MaxRuns = Annotated[
    int | None,
    Field(
        ge=1,
        le=MOST_RUNS,
        strict=True,
        description="After it has fired so often it comes to its end. What had to wait first "
        "counts from then on, also if a newer one takes its place. What is skipped when it is due, "
        "and what is triggered by hand, does not count.",
    ),
]
"""A pydantic field type for how often a trigger fires."""

Jitter = Annotated[
    PositiveDuration | None,
    Field(
        description="Spreads the load: it fires later than its timetable says, always by the same "
        "while, which is shorter than this and depends on the names of workflow and trigger. "
        "`startAt` and `endAt` limit the instants before they are moved. For an interval, "
        "shorter than that."
    ),
]
"""A pydantic field type for how far the instants of a trigger may be moved."""
