"""Instants: aware UTC datetimes in whole milliseconds, which is what MongoDB keeps.

Every instant in the project is rounded down once, where it is made, so that a
value in memory equals the same value read back.
"""

from datetime import UTC, datetime


def instant(value: datetime) -> datetime:
    """Return `value` in UTC, rounded down to a millisecond."""
    moved = value.astimezone(UTC)
    return moved.replace(microsecond=moved.microsecond // 1000 * 1000)


def format_instant(value: datetime) -> str:
    """Return the ISO 8601 form used in ids and in JSON: `2026-01-31T02:00:00.000Z`."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
