"""What triggers mean: their one form, and what is said of those that are refused."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from pydantic import TypeAdapter, ValidationError

from shared.domain.catalogue import definition_text, normalised
from shared.domain.cron import read_expression
from shared.domain.errors import InvalidInput
from shared.domain.triggers import (
    CatchUp,
    CronTrigger,
    OnceTrigger,
    OnFold,
    OnGap,
    Trigger,
)
from shared.domain.zones import zone, zone_names
from tests.support.builders import CATALOGUE
from tests.unit.documents import LOG

TRIGGERS: TypeAdapter[Trigger] = TypeAdapter(Trigger)
ALL: dict[str, Any] = {
    "type": "cron",
    "schedule": ["0 9 * * MON-FRI", "0 12 L * *"],
    "timezone": "Europe/Berlin",
    "exclude": ["2026-12-24", "2026-12-25"],
    "onGap": "skip",
    "onFold": "both",
    "startAt": "2026-01-01T00:00:00.000Z",
    "endAt": "2026-12-31T23:00:00.000Z",
    "catchUp": "all",
    "catchUpWindow": "6h",
    "jitter": "90s",
    "maxRuns": 12,
}


def _document(**trigger: Any) -> dict[str, Any]:
    return {"workflowId": "hello", "trigger": trigger, "actions": [LOG]}


def _cron(**fields: Any) -> dict[str, Any]:
    return _document(**{"type": "cron", "schedule": "0 2 * * *", **fields})


def _refused(document: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidInput) as refusal:
        CATALOGUE.parse(document)
    return {problem.pointer: problem.detail for problem in refusal.value.problems}


@pytest.mark.parametrize(
    ("given_as", "stored"),
    [
        ({"type": "periodic", "interval": "10s"}, '{"type":"periodic","interval":"10s"}'),
        ({"type": "manual"}, '{"type":"manual"}'),
        (
            {"type": "periodic", "interval": "3600s", "phase": "0s", "startAt": None},
            '{"type":"periodic","interval":"1h","phase":"0s"}',
        ),
        (
            {"type": "periodic", "interval": "1h", "catchUp": "latest", "catchUpWindow": None},
            '{"type":"periodic","interval":"1h"}',
        ),
        (
            {
                "type": "periodic",
                "interval": "1h",
                "startAt": "2026-01-31T03:00:00+01:00",
                "endAt": "2026-02-01t02:00:00.123456789z",
            },
            (
                '{"type":"periodic","interval":"1h","startAt":"2026-01-31T02:00:00.000Z",'
                '"endAt":"2026-02-01T02:00:00.123Z"}'
            ),
        ),
        (
            {"type": "cron", "schedule": [" 0  9 * jan\tmon-fri "], "timezone": "UTC"},
            '{"type":"cron","schedule":"0 9 * JAN MON-FRI"}',
        ),
        (
            {"type": "cron", "schedule": "@Daily", "onGap": "next-valid", "onFold": "first"},
            '{"type":"cron","schedule":"@daily"}',
        ),
        (
            {"type": "once", "at": "2026-01-31T03:00:00+01:00"},
            '{"type":"once","at":"2026-01-31T02:00:00.000Z"}',
        ),
    ],
)
def test_a_trigger_has_one_form_without_its_defaults(given_as: dict[str, Any], stored: str) -> None:
    definition = CATALOGUE.parse(_document(**given_as))
    assert f'"trigger":{stored},' in definition_text(definition)
    assert CATALOGUE.restore(normalised(definition)) == definition
    assert CATALOGUE.restore_text(definition_text(definition)) == definition


def test_the_form_of_a_trigger_says_everything_that_is_not_a_default() -> None:
    given_as = {**ALL, "exclude": ["2026-12-25", "2026-12-24", "2026-12-25"]}
    trigger = CATALOGUE.parse(_document(**given_as)).trigger
    assert isinstance(trigger, CronTrigger)
    assert TRIGGERS.dump_python(trigger, mode="json", by_alias=True, exclude_none=True) == ALL


def test_a_trigger_reads_as_typed_values() -> None:
    assert TRIGGERS.validate_python(ALL) == CronTrigger(
        type="cron",
        schedule=("0 9 * * MON-FRI", "0 12 L * *"),
        timezone="Europe/Berlin",
        exclude=(date(2026, 12, 24), date(2026, 12, 25)),
        onGap=OnGap.SKIP,
        onFold=OnFold.BOTH,
        startAt=datetime(2026, 1, 1, tzinfo=UTC),
        endAt=datetime(2026, 12, 31, 23, tzinfo=UTC),
        catchUp=CatchUp.ALL,
        catchUpWindow=timedelta(hours=6),
        jitter=timedelta(seconds=90),
        maxRuns=12,
    )
    once = TRIGGERS.validate_python({"type": "once", "at": datetime(2026, 1, 1, tzinfo=UTC)})
    assert once == OnceTrigger(type="once", at=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "trigger",
    [
        ALL,
        {"type": "cron", "schedule": "@hourly"},
        {"type": "once", "at": "2026-01-31T03:00:00+01:00"},
        {"type": "periodic", "interval": "1h", "phase": "500ms", "endAt": "2027-01-01T00:00:00Z"},
        {"type": "manual"},
    ],
)
def test_the_json_schema_accepts_what_is_accepted(trigger: dict[str, Any]) -> None:
    CATALOGUE.parse(_document(**trigger))
    validator = Draft202012Validator(CATALOGUE.json_schema())
    assert validator.is_valid(_document(**trigger))


@pytest.mark.parametrize(
    "trigger",
    [
        {"type": "cron"},
        {"type": "cron", "schedule": 5},
        {"type": "cron", "schedule": []},
        {"type": "cron", "schedule": "@hourly", "onGap": "both"},
        {"type": "once"},
        {"type": "hourly"},
        {"type": "manual", "startAt": "2026-01-31T03:00:00+01:00"},
    ],
)
def test_the_json_schema_refuses_what_is_refused(trigger: dict[str, Any]) -> None:
    assert _refused(_document(**trigger))
    assert not Draft202012Validator(CATALOGUE.json_schema()).is_valid(_document(**trigger))


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ("0 25 * * *", "whose hour '25' is wrong; expected 0-23"),
        ("60 * * * *", "whose minute '60' is wrong; expected 0-59"),
        ("60 * * * * *", "whose second '60' is wrong; expected 0-59"),
        ("*/0 * * * *", "whose minute '*/0' is wrong"),
        ("1,,2 * * * *", "whose minute '1,,2' is wrong"),
        ("0 22-2 * * *", "whose hour '22-2' is wrong"),
        ("0 0 0 * *", "whose day of the month '0' is wrong; expected 1-31, L (the last day)"),
        ("0 0 ? * MON", "whose day of the month '?' is wrong"),
        ("0 0 15W * *", "whose day of the month '15W' is wrong"),
        ("0 0 * 13 *", "whose month '13' is wrong; expected 1-12, JAN-DEC"),
        ("0 0 * * MOO", "whose day of the week 'MOO' is wrong; expected 0-7 or SUN-SAT"),
        ("0 0 * * L5", "5L (last)"),
        ("0 0 * * 5#6", "whose day of the week '5#6' is wrong"),
        ("0 0 30 2 *", "is '0 0 30 2 *', which would never fire"),
        ("0 0 31 4,6,9,11 *", "which would never fire"),
        ("0 0 */20 * 1L", "which would never fire"),
        ("0 2 * *", "has 4 field(s); expected 5 (minute, hour, day of the month, month, day of"),
        ("0 0 2 * * * 2026", "has 7 field(s)"),
        ("", "has 0 field(s)"),
        ("@reboot", "is '@reboot', which is not a nickname; there are @yearly, @annually"),
        ("\u0663 * * * *", "must be ASCII text"),
        ("0 0 * * \u017fun", "must be ASCII text"),
        (f"{'0,' * 250}0 * * * *", "of at most 500 characters"),
        (5, "must be a cron expression such as '0 2 * * *', or a list of them"),
        (None, "must be a cron expression"),
        ([], "must have at least 1 item(s)"),
        (["@daily"] * 11, "must have at most 10 items"),
    ],
)
def test_what_is_wrong_with_a_schedule_is_said(schedule: object, said: str) -> None:
    (pointer, detail), *others = _refused(_cron(schedule=schedule)).items()
    assert (pointer, others) == ("/trigger/schedule", [])
    assert said in detail


def test_the_wrong_one_of_several_expressions_is_named() -> None:
    refused = _refused(_cron(schedule=["0 2 * * *", "x * * * *", 5]))
    assert list(refused) == ["/trigger/schedule/1", "/trigger/schedule/2"]
    assert "whose minute 'x' is wrong" in refused["/trigger/schedule/1"]


@pytest.mark.parametrize(
    ("timezone", "said"),
    [
        ("Europe/Berln", "is 'Europe/Berln'; did you mean 'Europe/Berlin'"),
        ("europe/berlin", "is 'europe/berlin'; did you mean 'Europe/Berlin'?"),
        ("New York", "did you mean 'America/New_York'?"),
        ("tokyo", "did you mean 'Asia/Tokyo'?"),
        ("MSK", "expected the IANA name of a time zone, such as 'Europe/Berlin' or 'UTC'"),
        ("UTC+2", "expected the IANA name of a time zone"),
        ("GMT+1", "expected the IANA name of a time zone"),
        ("Etc/GMT+15", "expected the IANA name of a time zone"),
        ("CET+1", "is 'CET+1'; did you mean 'Europe/Berlin'?"),
        ("PST", "is 'PST'; did you mean 'America/Los_Angeles'?"),
        ("pdt", "did you mean 'America/Los_Angeles'?"),
        ("CST", "did you mean 'America/Chicago'?"),
        ("EDT", "did you mean 'America/New_York'?"),
        ("CEST ", "did you mean 'Europe/Berlin'?"),
        ("BST", "did you mean 'Europe/London'?"),
        ("IST", "did you mean 'Asia/Kolkata'?"),
        ("JST", "did you mean 'Asia/Tokyo'?"),
        ("+01:00", "expected the IANA name of a time zone"),
        ("", "expected the IANA name of a time zone"),
        ("../zones", "expected the IANA name of a time zone"),
        ("/etc/localtime", "expected the IANA name of a time zone"),
        ("a" * 65, "must have at most 64 characters"),
        (None, "must be a string"),
    ],
)
def test_an_unknown_zone_is_refused_with_similar_ones(timezone: object, said: str) -> None:
    refused = _refused(_cron(timezone=timezone))
    assert list(refused) == ["/trigger/timezone"]
    assert said in refused["/trigger/timezone"]


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("2026-01-31", "is '2026-01-31'; expected a date and a time with its offset from UTC"),
        ("2026-01-31T02:00:00", "such as '2026-01-31T02:00:00Z' or '2026-01-31T03:00:00+01:00'"),
        ("20260131T020000Z", "expected a date and a time"),
        ("2026-01-31T02:00:00+0100", "expected a date and a time"),
        ("2026-01-31T02:00:00.Z", "expected a date and a time"),
        (" 2026-01-31T02:00:00Z", "expected a date and a time"),
        ("2026-02-30T02:00:00Z", "which is no instant: day is out of range"),
        ("2026-02-28T24:00:00Z", "which is no instant: hour must be"),
        ("1969-12-31T23:59:59Z", "expected a year from 1970 to 2999"),
        ("0001-01-01T00:00:00+23:00", "expected a year from 1970 to 2999"),
        (1_769_824_800, "is 1769824800; expected a date and a time"),
        (datetime(2026, 1, 31, 2), "expected a date and a time"),  # noqa: DTZ001
    ],
)
def test_an_instant_names_its_offset(at: object, said: str) -> None:
    with pytest.raises(ValidationError, match="1 validation error") as refusal:
        TRIGGERS.validate_python({"type": "once", "at": at})
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("fields", "pointer", "said"),
    [
        ({"exclude": ["25.12.2026"]}, "/trigger/exclude/0", "expected a calendar date such as"),
        ({"exclude": ["2026-02-29"]}, "/trigger/exclude/0", "no date: day is out of range"),
        ({"exclude": ["2026-12-25T00:00:00Z"]}, "/trigger/exclude/0", "a calendar date"),
        ({"exclude": "2026-12-25"}, "/trigger/exclude", "must be a list"),
        ({"exclude": ["2026-12-25"] * 367}, "/trigger/exclude", "at most 366 items"),
        ({"jitter": "0s"}, "/trigger/jitter", "must be longer than 0"),
        (
            {"jitter": "ten"},
            "/trigger/jitter",
            "expected a whole number and a unit ms, s, m, h or d",
        ),
        ({"catchUp": "some"}, "/trigger/catchUp", "must be one of 'latest', 'all' or 'none'"),
        ({"catchUpWindow": "0s"}, "/trigger/catchUpWindow", "must be longer than 0"),
        ({"maxRuns": 0}, "/trigger/maxRuns", "at least 1"),
        ({"maxRuns": "3"}, "/trigger/maxRuns", "must be a whole number"),
        ({"onGap": "first"}, "/trigger/onGap", "must be one of 'skip' or 'next-valid'"),
        ({"onFold": "skip"}, "/trigger/onFold", "must be one of 'first', 'second' or 'both'"),
        ({"on_gap": "skip"}, "/trigger/on_gap", "is not a known field"),
        ({"interval": "10s"}, "/trigger/interval", "is not a known field"),
    ],
)
def test_what_is_wrong_with_a_cron_trigger_is_said(
    fields: dict[str, Any], pointer: str, said: str
) -> None:
    refused = _refused(_cron(**fields))
    assert list(refused) == [pointer]
    assert said in refused[pointer]


@pytest.mark.parametrize("kind", [{"type": "cron", "schedule": "@daily"}, {"type": "periodic"}])
def test_an_end_is_not_before_the_start(kind: dict[str, Any]) -> None:
    plain = {"interval": "1h", **kind} if kind["type"] == "periodic" else kind
    start = {"startAt": "2026-01-02T00:00:00Z"}
    assert _refused(_document(**plain, **start, endAt="2026-01-01T23:59:59.999Z")) == {
        "/trigger/endAt": "is 2026-01-01T23:59:59.999Z, before startAt (2026-01-02T00:00:00.000Z)"
    }
    CATALOGUE.parse(_document(**plain, **start, endAt="2026-01-02T01:00:00+01:00"))


@pytest.mark.parametrize("member", ["phase", "jitter"])
@pytest.mark.parametrize("length", ["10s", "1m", "10000ms"])
def test_a_phase_and_a_jitter_are_shorter_than_the_interval(member: str, length: str) -> None:
    refused = _refused(_document(type="periodic", interval="10s", **{member: length}))
    assert "it must be shorter than the interval, '10s'" in refused[f"/trigger/{member}"]
    CATALOGUE.parse(_document(type="periodic", interval="10s", **{member: "9999ms"}))


@given(st.text(alphabet="0123456789*/,-#L W?@MONfri\t", max_size=40))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    try:
        read_expression(text)
    except ValueError as error:
        assert str(error).startswith(("is '", "must be"))  # noqa: PT017 - most texts are refused


@pytest.mark.parametrize("timezone", ["EST", "MST", "CET", "Etc/GMT+1"])
def test_an_abbreviation_that_is_a_zone_is_taken_as_it_is(timezone: str) -> None:
    definition = CATALOGUE.parse(_cron(timezone=timezone))
    assert isinstance(definition.trigger, CronTrigger)
    assert definition.trigger.timezone == timezone


@given(st.text("UTCGME+-0123456789/etc", max_size=9))
def test_no_zone_that_means_the_opposite_is_suggested(timezone: str) -> None:
    assume(timezone not in zone_names())
    with pytest.raises(ValueError, match=f"^is '{re.escape(timezone)}'; ") as refusal:
        zone(timezone)
    assert "Etc/" not in str(refusal.value).partition("; ")[2]
