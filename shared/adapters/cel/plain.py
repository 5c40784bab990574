"""Plain JSON out of what an expression yields."""

from datetime import UTC, datetime, timedelta

from pydantic import JsonValue

from shared.domain.durations import MILLISECOND, format_duration
from shared.domain.instants import format_instant
from shared.domain.storable import problems_in


class NotJson(ValueError):
    """A value has no place in JSON, or none in the database."""


def plain(value: object) -> JsonValue:
    """Return a value as JSON that can be stored, or raise NotJson saying what to do."""
    converted = _converted(value)
    check_plain(converted)
    return converted


def check_plain(value: JsonValue) -> None:
    """Raise NotJson for an integer beyond 64 bits, a lone surrogate, infinity, and the like."""
    if problem := next(problems_in(value), None):
        where = f" at {problem.pointer}" if problem.pointer else ""
        raise NotJson(f"the value{where} {problem.detail}")


def _converted(value: object) -> JsonValue:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list):
        return [_converted(item) for item in value]
    if isinstance(value, dict):
        return {_key(key): _converted(item) for key, item in value.items()}
    if isinstance(value, datetime):
        return _instant(value)
    if isinstance(value, timedelta):
        return _length(value)
    if isinstance(value, bytes):
        raise NotJson("yields bytes: use string(…) for text or base64.encode(…) for anything")
    raise NotJson(f"yields a {type(value).__name__}, which is no JSON value")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise NotJson(f"yields an object with the key {key!r}: write string({key!r})")
    return key


def _instant(value: datetime) -> str:
    try:
        return format_instant(value.astimezone(UTC))
    except OverflowError as error:
        raise NotJson("yields an instant outside the years 1 to 9999") from error


def _length(value: timedelta) -> str:
    if value < timedelta(0):
        raise NotJson("yields a negative duration, which cannot be written: swap the instants")
    return format_duration(value // MILLISECOND * MILLISECOND)
