"""Scenarios: triggers by calendar and by instant, and looking ahead."""

from datetime import UTC, date, datetime, timedelta

import pytest

from shared.domain.zones import tzdata_version
from tests.support.command_line import CommandLine
from tests.support.stack import Json, Stack, log_action
from tests.support.waiting import eventually

NIGHTLY = {"type": "cron", "schedule": "30 2 * * *", "timezone": "Europe/Berlin"}
MARCH, OCTOBER = 3, 10


def next_last_sunday(month: int, now: datetime) -> date:
    """When Europe sets its clocks next: at 01:00 UTC on the last Sunday of a month of 31 days."""
    ends = (datetime(year, month, 31, 1, tzinfo=UTC) for year in (now.year, now.year + 1))
    sundays = (end - timedelta(days=end.isoweekday() % 7) for end in ends)
    return next(sunday for sunday in sundays if sunday > now).date()


def scheduled(workflow_id: str, **trigger: object) -> Json:
    return {"workflowId": workflow_id, "trigger": trigger, "actions": [log_action()]}


async def test_a_calendar_fires_at_its_instants(stack: Stack) -> None:
    created = await stack.create(
        scheduled("each-second", type="cron", schedule="* * * * * *", timezone="Asia/Tokyo")
    )
    ran = await eventually(
        lambda: stack.executions(workflowId="each-second", status="completed"),
        lambda found: len(found) >= 3,
    )
    await stack.request("DELETE", "/workflows/each-second")
    instants = sorted(datetime.fromisoformat(execution["scheduledFor"]) for execution in ran)
    assert instants[0] >= datetime.fromisoformat(created["trigger"]["nextRunAt"])
    assert len(set(instants)) == len(instants)
    assert {at.microsecond for at in instants} == {0}
    assert {execution["trigger"] for execution in ran} == {"cron"}
    assert "warnings" not in created
    first = await stack.execution(ran[0]["executionId"])
    assert first["history"][0]["tzdata"] == tzdata_version()


async def test_a_single_instant_fires_once(stack: Stack) -> None:
    at = (datetime.now(UTC) + timedelta(seconds=3)).isoformat(timespec="milliseconds")
    created = await stack.create(scheduled("just-once", type="once", at=at))
    assert datetime.fromisoformat(created["trigger"]["nextRunAt"]) == datetime.fromisoformat(at)
    (execution,) = await eventually(lambda: stack.executions(workflowId="just-once"), bool)
    ended = await stack.ends(execution["executionId"])
    assert ended["status"] == "completed"
    assert datetime.fromisoformat(ended["scheduledFor"]) == datetime.fromisoformat(at)
    shown = (await stack.request("GET", "/workflows/just-once")).json()
    assert "nextRunAt" not in shown["trigger"]
    assert (await _preview(stack, "just-once"))["items"] == []


async def test_nights_without_half_past_two_and_with_two_of_them_are_warned_of(
    stack: Stack,
) -> None:
    created = await stack.create(scheduled("nightly-warned", **NIGHTLY))
    now = datetime.now(UTC)
    gap, fold = sorted(created["warnings"], key=lambda warning: "twice" in warning["detail"])
    assert gap["pointer"] == fold["pointer"] == "/trigger/schedule"
    assert next_last_sunday(MARCH, now).isoformat() in gap["dates"]
    assert "02:30 does not exist in Europe/Berlin" in gap["detail"]
    assert "03:00" in gap["detail"]
    assert next_last_sunday(OCTOBER, now).isoformat() in fold["dates"]
    assert "02:30 comes twice in Europe/Berlin" in fold["detail"]


async def test_a_night_without_half_past_two_is_previewed(stack: Stack) -> None:
    await stack.create(scheduled("nightly", **NIGHTLY))
    found = await _preview(stack, "nightly", **{"from": "2027-03-26T12:00:00Z", "count": 3})
    assert (found["workflowId"], found["timezone"], found["enabled"]) == (
        "nightly",
        "Europe/Berlin",
        True,
    )
    assert [item["local"] for item in found["items"]] == [
        "2027-03-27T02:30:00+01:00",
        "2027-03-28T03:00:00+02:00",
        "2027-03-29T02:30:00+02:00",
    ]
    assert found["items"][1]["at"] == "2027-03-28T01:00:00.000Z"


async def test_a_trigger_that_comes_too_late_is_accepted_with_a_warning(stack: Stack) -> None:
    created = await stack.create(scheduled("too-late", type="once", at="2020-01-01T00:00:00Z"))
    (warning,) = created["warnings"]
    assert warning["pointer"] == "/trigger"
    assert "has no instant to come" in warning["detail"]
    assert "nextRunAt" not in created["trigger"]


async def test_the_command_line_warns_and_looks_ahead(
    stack: Stack,
) -> None:
    workflows = CommandLine(stack.workflows.url or "")
    await stack.create(scheduled("nightly-cli", **NIGHTLY))
    shown = await workflows("get", "nightly-cli")
    assert "cron 30 2 * * * (Europe/Berlin), idle" in shown.out
    assert "warning: /trigger/schedule: 02:30 does not exist in Europe/Berlin" in shown.out
    ahead = await workflows(
        "preview", "nightly-cli", "--from", "2027-03-27T12:00:00Z", "--count", "1"
    )
    assert "2027-03-28T03:00:00+02:00" in ahead.out


@pytest.mark.parametrize(
    ("trigger", "pointer", "said"),
    [
        ({"type": "cron", "schedule": "0 25 * * *"}, "/trigger/schedule", "hour"),
        ({"type": "cron", "schedule": "0 0 30 2 *"}, "/trigger/schedule", "never"),
        (
            {"type": "cron", "schedule": "@daily", "timezone": "Europe/Berlni"},
            "/trigger/timezone",
            "Europe/Berlin",
        ),
        ({"type": "once", "at": "tomorrow"}, "/trigger/at", "2026-01-31T02:00:00Z"),
    ],
)
async def test_a_trigger_that_cannot_work_is_refused_with_the_place(
    stack: Stack, trigger: Json, pointer: str, said: str
) -> None:
    response = await stack.request("POST", "/workflows", json=scheduled("wrong", **trigger))
    assert response.status_code == 422
    (problem,) = response.json()["errors"]
    assert problem["pointer"].startswith(pointer)
    assert said in problem["detail"]


async def test_a_preview_is_refused_for_what_it_does_not_know(stack: Stack) -> None:
    assert (await stack.request("GET", "/workflows/none/preview")).status_code == 404
    known = ("from=yesterday", "count=0", "count=1001", "duration=0s")
    for wrong in (*known, "until=2027-01-01T00:00:00Z"):
        response = await stack.request("GET", f"/workflows/nightly/preview?{wrong}")
        assert response.status_code == 422, wrong


async def _preview(stack: Stack, workflow_id: str, **params: object) -> Json:
    response = await stack.request("GET", f"/workflows/{workflow_id}/preview", params=params)
    assert response.status_code == 200, response.text
    found: Json = response.json()
    return found
