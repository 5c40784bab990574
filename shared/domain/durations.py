"""Lengths of time as users write them: `10s`, `2m`, `1h`, `7d`.

Two kinds: an *interval* is how often a workflow runs (whole seconds, 1 s to
365 days); a *duration* is any other wait (from 0 ms). A day is 24 hours, which is
no day of the calendar where clocks are set. Both are stored in one canonical form,
the largest unit up to hours that divides them: `60s` becomes `1m`, `1d` `24h`.
"""

import re
from datetime import timedelta
from functools import lru_cache
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import WithDefaultSchema

MILLISECOND: Final = timedelta(milliseconds=1)
MAX_LENGTH: Final = timedelta(days=365)

_UNITS: Final = {
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": MILLISECOND,
}
_READABLE: Final = {"d": timedelta(hours=24), **_UNITS}
_INTERVAL_PATTERN: Final = r"^[0-9]{1,11}[smhd]$"
_DURATION_PATTERN: Final = r"^[0-9]{1,14}(ms|s|m|h|d)$"
_INTERVAL_WANTED: Final = "a whole number and a unit s, m, h or d, such as '10s'"
_DURATION_WANTED: Final = "a whole number and a unit ms, s, m, h or d, such as '500ms'"


class DefinitionSchema(GenerateJsonSchema):
    """Writes JSON Schemas in which the default of a duration is what a user would write."""

    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:
        """Say `2s` where pydantic says `PT2S`, which is for lengths of time in ISO 8601."""
        found = super().default_schema(schema)
        default = schema.get("default")
        if isinstance(default, timedelta) and found.get("format") != "duration":
            found["default"] = format_duration(default)
        return found


def parse_interval(value: object) -> timedelta:
    """Read an interval such as `10s`; raise ValueError saying what would be right."""
    length = _length(value, _INTERVAL_PATTERN, _INTERVAL_WANTED)
    if length < timedelta(seconds=1):
        raise ValueError(f"is '{value}'; the shortest interval is '1s'")
    return length


def parse_duration(value: object) -> timedelta:
    """Read a duration such as `500ms` or `5m`; raise ValueError saying what would be right."""
    return _length(value, _DURATION_PATTERN, _DURATION_WANTED)


def parse_positive_duration(value: object) -> timedelta:
    """Read a duration that is not 0; raise ValueError saying what would be right."""
    return _positive(parse_duration(value))


def format_duration(length: timedelta) -> str:
    """Return the canonical form: the largest unit that divides `length` (rounded down to 1 ms)."""
    for unit, size in _UNITS.items():
        if length >= size and length % size == timedelta(0):
            return f"{length // size}{unit}"
    return f"{length // MILLISECOND}ms" if length else "0s"


def _length(value: object, pattern: str, wanted: str) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError(f"is {value!r}; expected {wanted}")  # noqa: TRY004 - pydantic's protocol
    return _parse(value, pattern, wanted)


@lru_cache(1024)
def _parse(value: str, pattern: str, wanted: str) -> timedelta:
    if not re.fullmatch(pattern, value, re.ASCII):
        raise ValueError(f"is {value!r}; expected {wanted}")
    number, unit = re.fullmatch(r"([0-9]+)([a-z]+)", value, re.ASCII).groups()  # type: ignore[union-attr]
    if int(number) * (_READABLE[unit] / MILLISECOND) > MAX_LENGTH / MILLISECOND:
        raise ValueError(f"is '{value}'; the longest allowed is 365 days ('365d')")
    return int(number) * _READABLE[unit]


Interval = Annotated[
    timedelta,
    BeforeValidator(parse_interval),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": _INTERVAL_PATTERN,
            "description": "How often: seconds, minutes, hours or days, from 1s to 365 days. A "
            "day (d) is 24 hours, also where clocks are set: for the same time of every day use a "
            "cron trigger.",
            "examples": ["10s", "2m", "1h", "1d"],
        }
    ),
]
"""A pydantic field type for how often a workflow runs."""

Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": _DURATION_PATTERN,
            "description": "A wait: milliseconds, seconds, minutes, hours, or days of 24 hours; "
            "up to 365 days.",
            "examples": ["500ms", "2s", "5m", "7d"],
        }
    ),
]
"""A pydantic field type for any other length of time."""


def _positive(length: timedelta) -> timedelta:
    if not length:
        raise ValueError("must be longer than 0")
    return length


PositiveDuration = Annotated[Duration, AfterValidator(_positive)]
"""A duration that is not 0."""

Timeout = PositiveDuration
"""A duration within which something has to be done."""
