"""Instants: aware UTC datetimes in whole milliseconds, which is what MongoDB keeps.

Every instant in the project is rounded down once, where it is made, so that a
value in memory equals the same value read back.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_RFC_3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
WITH_OFFSET: Final = (
    "a date and a time with its offset from UTC, such as "
    "'2026-01-31T02:00:00Z' or '2026-01-31T03:00:00+01:00'"
)
"""How an instant is written, for who wrote it otherwise."""

_YEARS: Final = range(1970, 3000)
LAST: Final = datetime(_YEARS[-1], 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
"""The end of the last year that may be written, and of every timetable."""


def instant(value: datetime) -> datetime:
    """Return `value` in UTC, rounded down to a millisecond."""
    moved = value.astimezone(UTC)
    return moved.replace(microsecond=moved.microsecond // 1000 * 1000)


def format_instant(value: datetime) -> str:
    """Return the ISO 8601 form used in ids and in JSON: `2026-01-31T02:00:00.000Z`."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def parse_instant(value: object, wanted: str = WITH_OFFSET) -> datetime:
    """Read an instant in RFC 3339 form; raise ValueError saying that `wanted` would be right."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return instant(value)
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError(f"is {value!r}; expected {wanted}")
    try:
        moment = datetime.fromisoformat(value.upper())
    except ValueError as error:
        raise ValueError(f"is '{value}', which is no instant: {error}") from error
    if moment.year not in _YEARS:
        raise ValueError(f"is '{value}'; expected a year from {_YEARS[0]} to {_YEARS[-1]}")
    return instant(moment)


Instant = Annotated[
    datetime,
    BeforeValidator(parse_instant),
    PlainSerializer(format_instant, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "description": "A date and a time with its offset from UTC (RFC 3339).",
            "examples": ["2026-01-31T02:00:00Z", "2026-01-31T03:00:00+01:00"],
        }
    ),
]
"""A pydantic field type for an instant that a user writes; kept in UTC."""
