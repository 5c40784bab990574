"""Scenarios: what became of each instant, pausing and resuming."""

from datetime import UTC, datetime, timedelta
from typing import Final

import httpx

from tests.support.command_line import CommandLine
from tests.support.stack import Json, Stack, log_action
from tests.support.waiting import eventually

SECONDS: Final = {"type": "cron", "schedule": "* * * * * *"}
BROKEN: Final = {"type": "http-request", "url": "http://127.0.0.1:1/", "retry": {"retries": 0}}


def scheduled(workflow_id: str, *actions: Json, **more: object) -> Json:
    return {
        "workflowId": workflow_id,
        "trigger": SECONDS,
        "actions": list(actions) or [log_action()],
        **more,
    }


async def test_each_instant_has_one_outcome_over_a_pause(stack: Stack) -> None:
    created = await stack.create(scheduled("paced"))
    await eventually(lambda: _occurrences(stack, "paced"), lambda found: len(found) >= 2)
    paused = await _post(stack, "paced/pause", {"reason": "moving house"})
    assert (paused["enabled"], paused["paused"]["reason"]) == (False, "moving house")
    assert "nextRunAt" not in paused["trigger"]
    again = await _post(stack, "paced/pause", {"reason": "another"})
    assert again["paused"] == paused["paused"]
    since = datetime.fromisoformat(paused["paused"]["since"])
    await eventually(_now, lambda now: now >= since + timedelta(seconds=4))
    by_hand = (await stack.request("POST", "/workflows/paced/trigger")).json()
    await stack.ends(by_hand["executionId"])
    resumed = await _post(stack, "paced/resume")
    assert resumed["enabled"]
    assert "paused" not in resumed
    await eventually(
        lambda: _occurrences(stack, "paced"),
        lambda found: _last_fired(found) > datetime.fromisoformat(resumed["updatedAt"]),
    )
    await stack.request("PATCH", "/workflows/paced", json={"enabled": False})
    found = await _occurrences(stack, "paced")
    (skipped,) = (item for item in found if item.get("reason") == "paused")
    assert skipped["paused"] == paused["paused"]
    assert skipped["count"] >= 2
    first = datetime.fromisoformat(created["trigger"]["nextRunAt"])
    instants = _instants(found)
    assert instants == [first + timedelta(seconds=n) for n in range(len(instants))]
    why = await _why(stack, "paced", skipped["at"])
    assert "was paused from" in why["why"]
    assert "moving house" in why["why"]
    assert why["occurrence"] == skipped
    (fired,) = (item for item in found if item["at"] == created["trigger"]["nextRunAt"])
    assert (fired["outcome"], fired["status"]) == ("fired", "completed")
    assert "It fired" in (await _why(stack, "paced", fired["at"]))["why"]


async def test_a_schedule_that_only_fails_is_paused(stack: Stack) -> None:
    await stack.create(scheduled("hopeless", BROKEN, pauseOnFailure=2))
    shown = await eventually(lambda: _workflow(stack, "hopeless"), lambda found: "paused" in found)
    ran = [e for e in await stack.executions(workflowId="hopeless") if e["status"] == "failed"]
    assert len(ran) == 2
    last = max(ran, key=lambda execution: execution["createdAt"])["executionId"]
    assert shown["paused"]["reason"] == f"2 executions in a row failed, the last: {last}"
    assert shown["pauseOnFailure"] == 2
    assert not shown["enabled"]


async def test_a_night_without_half_past_two_is_told_as_such(stack: Stack) -> None:
    trigger = {"type": "cron", "schedule": "30 2 * * *", "timezone": "Europe/Berlin"}
    document = {**scheduled("nightly-why"), "trigger": {**trigger, "onGap": "skip"}}
    await stack.create(document)
    why = await _why(stack, "nightly-why", "2027-03-28T02:30")
    assert "02:30 did not exist in Europe/Berlin on 2027-03-28" in why["why"]
    assert "(onGap: skip)" in why["why"]
    assert why["after"] == "2027-03-29T00:30:00.000Z"


async def test_what_a_backfill_would_run_is_listed_and_nothing_runs(stack: Stack) -> None:
    await stack.create({**scheduled("daily"), "trigger": {"type": "cron", "schedule": "@daily"}})
    span = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-04T00:00:00Z"}
    response = await _posted(stack, "daily/backfill", {**span, "dryRun": True})
    assert response.status_code == 200, response.text
    plan = response.json()
    assert [item["executionId"] for item in plan["items"]] == [
        f"default:daily:cron:2026-01-0{day}T00:00:00.000Z:1" for day in (1, 2, 3)
    ]
    assert await stack.executions(workflowId="daily") == []


async def test_a_backfill_runs_its_instants_one_after_the_other(stack: Stack) -> None:
    await stack.create({**scheduled("late"), "trigger": {"type": "cron", "schedule": "@daily"}})
    span = ("--from", "2026-01-01T00:00:00Z", "--to", "2026-01-06T00:00:00Z")
    workflows = CommandLine(stack.workflows.url or "")
    done = await workflows("backfill", "late", *span)
    assert done.lines[-1] == "5 wait for their turn."

    async def ran() -> list[Json]:
        return await stack.executions(workflowId="late", status="completed")

    found = await eventually(ran, lambda executions: len(executions) == 5)
    order = sorted(found, key=lambda execution: execution["startedAt"])
    assert [e["scheduledFor"][:10] for e in order] == [f"2026-01-0{day}" for day in range(1, 6)]
    again = await workflows("backfill", "late", *span, "--dry-run", "--json")
    assert (again.json["items"], again.json["left"]) == ([], 5)


async def test_the_command_line_pauses_resumes_and_tells_why(stack: Stack) -> None:
    workflows = CommandLine(stack.workflows.url or "")
    await stack.create(
        {**scheduled("by-command"), "trigger": {"type": "cron", "schedule": "@daily"}}
    )
    paused = await workflows("pause", "by-command", "--reason", "moving house")
    assert paused.out.startswith("by-command  paused since ")
    assert "moving house" in (await workflows("get", "by-command")).out
    assert "workflows resume by-command" in (await workflows("preview", "by-command")).out
    told = await workflows("why-not", "by-command", "2999-01-01T00:00:00Z")
    assert "It is still to come, but the workflow has been paused since" in told.out
    assert "next run" in (await workflows("resume", "by-command")).out
    nothing = await workflows("occurrences", "by-command")
    assert "no instants of 'by-command' are on record" in nothing.out


async def test_what_is_disabled_is_not_paused(stack: Stack) -> None:
    await stack.create(scheduled("off-already"))
    await stack.request("PATCH", "/workflows/off-already", json={"enabled": False})
    for command, body in (("pause", {"reason": "r"}), ("resume", None)):
        refused = await _posted(stack, f"off-already/{command}", body)
        assert refused.status_code == 409
        assert refused.json()["type"] == "urn:workflows:problem:workflow-disabled"
    refused = await _posted(stack, "off-already/pause", {})
    assert refused.status_code == 422
    assert (await _posted(stack, "none/pause", {"reason": "r"})).status_code == 404


async def _now() -> datetime:
    return datetime.now(UTC)


async def _workflow(stack: Stack, workflow_id: str) -> Json:
    found: Json = (await stack.request("GET", f"/workflows/{workflow_id}")).json()
    return found


async def _posted(stack: Stack, path: str, body: Json | None = None) -> httpx.Response:
    return await stack.request("POST", f"/workflows/{path}", json=body)


async def _post(stack: Stack, path: str, body: Json | None = None) -> Json:
    response = await _posted(stack, path, body)
    assert response.status_code == 200, response.text
    found: Json = response.json()
    return found


async def _occurrences(stack: Stack, workflow_id: str) -> list[Json]:
    response = await stack.request("GET", f"/workflows/{workflow_id}/occurrences?limit=200")
    assert response.status_code == 200, response.text
    items: list[Json] = response.json()["items"]
    return items


async def _why(stack: Stack, workflow_id: str, instant: str) -> Json:
    response = await stack.request("GET", f"/workflows/{workflow_id}/occurrences/{instant}/why")
    assert response.status_code == 200, response.text
    found: Json = response.json()
    return found


def _last_fired(items: list[Json]) -> datetime:
    fired = (item["at"] for item in items if item["outcome"] == "fired")
    return max(map(datetime.fromisoformat, fired))


def _instants(items: list[Json]) -> list[datetime]:
    """Return every instant that is on record, as often as it is."""
    return sorted(
        datetime.fromisoformat(item["at"]) + timedelta(seconds=n)
        for item in items
        for n in range(item["count"])
    )
