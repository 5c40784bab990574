"""What a user is told of local times that are missing or come twice."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter

from shared.domain.daylight import DaylightWarning, warnings_of
from shared.domain.triggers import Trigger
from shared.domain.zones import tzdata_version

TRIGGERS: TypeAdapter[Trigger] = TypeAdapter(Trigger)
NOW = datetime(2025, 12, 1, tzinfo=UTC)
SPRING = "2026-03-29, 2027-03-28 and 2028-03-26"
AUTUMN = "2026-10-25, 2027-10-31 and 2028-10-29"


def _warnings(schedule: str | list[str], years: int = 3, **fields: Any) -> list[DaylightWarning]:
    document = {"type": "cron", "schedule": schedule, "timezone": "Europe/Berlin", **fields}
    return warnings_of(
        TRIGGERS.validate_python(document), NOW, NOW + timedelta(days=365.25) * years
    )


def _messages(schedule: str | list[str], **fields: Any) -> list[str]:
    return [warning.message for warning in _warnings(schedule, **fields)]


def test_a_time_that_is_missing_and_comes_twice_is_told_of_with_its_dates() -> None:
    gap, fold = _warnings("30 2 * * *")
    assert gap == DaylightWarning(
        dates=(date(2026, 3, 29), date(2027, 3, 28), date(2028, 3, 26)),
        message=(
            f"02:30 does not exist in Europe/Berlin on {SPRING}; "
            "it fires at 03:00 then (onGap: next-valid)"
        ),
    )
    assert fold.message == (
        f"02:30 comes twice in Europe/Berlin on {AUTUMN}; it fires the first time (onFold: first)"
    )


@pytest.mark.parametrize(
    ("fields", "gap", "fold"),
    [
        ({"onGap": "skip"}, "it does not fire then (onGap: skip)", "the first time"),
        ({"onFold": "second"}, "at 03:00 then", "it fires the second time (onFold: second)"),
        ({"onFold": "both"}, "at 03:00 then", "it fires both times (onFold: both)"),
    ],
)
def test_the_outcome_is_that_of_the_choice(fields: dict[str, Any], gap: str, fold: str) -> None:
    first, second = _messages("30 2 * * *", **fields)
    assert gap in first
    assert fold in second


@pytest.mark.parametrize(
    ("schedule", "gap"),
    [
        ("0,30 2 * * *", "02:00 and 02:30 do not exist"),
        ("*/5 2 * * *", "02:00 to 02:55 do not exist"),
        ("*/5 2 * * *", "they fire once, at 03:00 then (onGap: next-valid)"),
        ("0 2,3 * * *", "it fires together with 03:00 then (onGap: next-valid)"),
        (["0 2 * * *", "30 2 * * *"], "02:00 and 02:30 do not exist"),
        ("15,45 30 2 * * *", "02:30 does not exist"),
    ],
)
def test_several_times_are_told_of_together(schedule: str | list[str], gap: str) -> None:
    warning, _ = _messages(schedule)
    assert gap in warning


@pytest.mark.parametrize(
    ("schedule", "fields"),
    [
        ("0 4 * * *", {}),
        ("30 2 * * MON-FRI", {}),
        ("30 2 1 * *", {}),
        ("30 2 * * *", {"timezone": "UTC"}),
        ("30 2 * * *", {"timezone": "Asia/Tokyo"}),
        ("30 2 * 1,2 *", {}),
        ("30 2 * * *", {"exclude": ["2026-03-29", "2026-10-25"], "endAt": "2027-01-01T00:00:00Z"}),
        ("30 2 * * *", {"startAt": "2026-04-01T00:00:00Z", "endAt": "2026-10-01T00:00:00Z"}),
    ],
)
def test_nothing_is_said_where_no_time_is_concerned(schedule: str, fields: dict[str, Any]) -> None:
    assert _messages(schedule, **fields) == []


@pytest.mark.parametrize("schedule", ["*/5 * * * *", "@hourly", "30 * * * *", "* * * * * *"])
@pytest.mark.parametrize("on_gap", ["skip", "next-valid"])
def test_nothing_is_said_where_nobody_waits_longer_than_usual(schedule: str, on_gap: str) -> None:
    assert _messages(schedule, onGap=on_gap, onFold="both") == []


@pytest.mark.parametrize(
    ("schedule", "on_fold", "pause"),
    [
        ("*/5 * * * *", "first", "they fire the first time, and nothing fires for 65m"),
        ("*/5 * * * *", "second", "they fire the second time, and nothing fires for 65m"),
        ("@hourly", "first", "it fires the first time, and nothing fires for 2h (onFold: first)"),
    ],
)
def test_the_pause_of_a_frequent_schedule_is_told_of(
    schedule: str, on_fold: str, pause: str
) -> None:
    (message,) = _messages(schedule, onFold=on_fold)
    assert AUTUMN in message
    assert pause in message


def test_half_an_hour_that_is_missing_makes_an_hourly_schedule_wait() -> None:
    fields = {"timezone": "Australia/Lord_Howe", "onFold": "both"}
    assert _messages("15 * * * *", **fields) == []
    (message,) = _messages("15 * * * *", onGap="skip", **fields)
    assert "02:15 does not exist in Australia/Lord_Howe on 2026-10-04, " in message
    assert "it does not fire then, and nothing fires for 90m (onGap: skip)" in message


def test_the_dates_are_those_of_the_local_time_and_the_years_asked_for() -> None:
    (gap,) = _warnings("0 0 * * *", years=1, timezone="Africa/Cairo")
    assert gap.message.startswith("00:00 does not exist in Africa/Cairo on 2026-04-24;")
    assert gap.dates == (date(2026, 4, 24),)
    (fold,) = _warnings("30 23 * * *", years=1, timezone="Africa/Cairo")
    assert fold.message.startswith("23:30 comes twice in Africa/Cairo on 2026-10-29;")
    assert fold.dates == (date(2026, 10, 29),)


@pytest.mark.parametrize(
    "trigger",
    [
        {"type": "manual"},
        {"type": "once", "at": "2026-03-29T02:30:00+01:00"},
        {"type": "periodic", "interval": "24h"},
    ],
)
def test_other_triggers_know_no_clocks(trigger: dict[str, Any]) -> None:
    assert warnings_of(TRIGGERS.validate_python(trigger), NOW) == []


def test_the_version_of_the_rules_is_known() -> None:
    year, letter = tzdata_version()[:4], tzdata_version()[4:]
    assert int(year) >= 2025
    assert letter.isalpha()
