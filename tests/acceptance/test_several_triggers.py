"""Scenarios: a workflow with several triggers."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from tests.support.command_line import CommandLine
from tests.support.stack import Json, Stack, log_action
from tests.support.waiting import eventually

NIGHTLY = {"id": "nightly", "type": "cron", "schedule": "0 2 * * *", "timezone": "Asia/Tokyo"}
NOON = {"id": "noon", "type": "once", "at": "2031-05-05T12:00:00Z"}


def document(workflow_id: str, *triggers: Json) -> Json:
    return {"workflowId": workflow_id, "triggers": [*triggers], "actions": [log_action()]}


def once(name: str, at: datetime) -> Json:
    return {"id": name, "type": "once", "at": at.isoformat(timespec="milliseconds")}


async def test_each_trigger_fires_at_its_instant_and_what_meets_another_is_skipped(
    stack: Stack,
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=5)
    after = soon + timedelta(seconds=1)
    given = [once("late", after), once("one", soon), once("other", soon)]
    created = await stack.create(document("three-triggers", *given))
    assert [trigger["id"] for trigger in created["triggers"]] == ["late", "one", "other"]
    found = await eventually(
        lambda: stack.executions(workflowId="three-triggers"), lambda found: len(found) >= 3
    )
    assert Counter(execution["trigger"] for execution in found) == {"late": 1, "one": 1, "other": 1}
    together = [execution for execution in found if execution["trigger"] != "late"]
    assert len({execution["scheduledFor"] for execution in together}) == 1
    (skipped,) = [execution for execution in together if execution["status"] == "skipped"]
    assert skipped["skipped"]["reason"] == "overlap"
    (fired,) = [execution for execution in together if execution["status"] != "skipped"]
    assert (await stack.ends(fired["executionId"]))["status"] == "completed"
    await eventually(
        lambda: stack.request("GET", "/workflows/three-triggers"),
        lambda shown: all("nextRunAt" not in trigger for trigger in shown.json()["triggers"]),
    )


async def test_an_edit_leaves_the_other_trigger_where_it_is(stack: Stack) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    hourly = {"id": "hourly", "type": "periodic", "interval": "1h"}
    created = await stack.create(document("edited", hourly, NOON))
    assert created["trigger"]["type"] == "several"
    at = created["trigger"]["nextRunAt"]
    assert datetime.fromisoformat(at) >= soon - timedelta(seconds=1)
    edited = document("edited", NIGHTLY, hourly)
    changed = (await stack.request("PUT", "/workflows/edited", json=edited)).json()
    shown = {trigger["id"]: trigger.get("nextRunAt") for trigger in changed["triggers"]}
    assert [*shown] == ["nightly", "hourly"]
    assert shown["hourly"] == at
    assert changed["trigger"]["nextRunAt"] == min(shown.values())


async def test_the_command_line_shows_each_trigger_and_the_instants_of_all(stack: Stack) -> None:
    workflows = CommandLine(stack.workflows.url or "")
    await stack.create(document("shown", NOON, NIGHTLY))
    shown = await workflows("get", "shown")
    assert "trigger     several, idle" in shown.out
    assert "nightly: cron 0 2 * * * (Asia/Tokyo), next run 2" in shown.out
    listed = await workflows("list", "--trigger-type", "once")
    assert " 2 triggers: noon, nightly  " in next(
        line for line in listed.lines if line.startswith("shown ")
    )
    ahead = await workflows("preview", "shown", "--from", "2031-05-05T00:00:00Z", "--count", "2")
    assert ahead.lines[0].split()[:3] == ["HERE", "IN", "Asia/Tokyo"]
    assert [line.split()[-2:] for line in ahead.lines[1:]] == [
        ["2031-05-05T21:00:00+09:00", "noon"],
        ["2031-05-06T02:00:00+09:00", "nightly"],
    ]


async def test_a_wrong_trigger_among_several_is_refused_with_its_place(stack: Stack) -> None:
    wrong = document("wrong", NIGHTLY, {"type": "cron", "schedule": "0 25 * * *"})
    answer = await stack.request("POST", "/workflows", json=wrong)
    assert answer.status_code == 422
    assert [problem["pointer"] for problem in answer.json()["errors"]] == ["/triggers/1/schedule"]
