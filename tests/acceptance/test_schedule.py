"""Scenarios: Periodic, After downtime."""

import asyncio
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from shared.adapters.mongo.connection import MongoConnection, MongoSettings
from tests.acceptance.conftest import MakeStack
from tests.support.destination import Destination
from tests.support.servers import mongodb_uri
from tests.support.stack import Json, Stack, log_action, periodic
from tests.support.waiting import eventually

DEFAULTS = {
    "POLL_INTERVAL": "5s",
    "LEASE": "30s",
    "LEASE_RENEWAL": "10s",
    "RESEND": "30s",
    "RESEND_MAX": "5m",
}


@pytest.mark.timeout(180)
async def test_periodic(make_stack: MakeStack, destination: Destination) -> None:
    """A minute at the default settings: every 2 s, at its instant, once, without drift."""
    stack = await make_stack(**DEFAULTS)
    created = await stack.create(periodic("every-2s", "2s", destination.to("/tick")))
    await asyncio.sleep(60)
    await stack.request("DELETE", "/workflows/every-2s")
    executions = [e for e in await stack.executions(workflowId="every-2s") if "startedAt" in e]
    assert 28 <= len(executions) <= 30
    instants = sorted(datetime.fromisoformat(e["scheduledFor"]) for e in executions)
    assert instants[0] == datetime.fromisoformat(created["trigger"]["nextRunAt"])
    assert {later - earlier for earlier, later in pairwise(instants)} == {timedelta(seconds=2)}
    assert len(destination.calls) == len(executions)
    for execution in executions:
        due = datetime.fromisoformat(execution["scheduledFor"])
        assert datetime.fromisoformat(execution["startedAt"]) >= due
        assert 0 <= execution["latenessMs"] < 2000
    for call, due in zip(sorted(c.at for c in destination.calls), instants, strict=True):
        assert -0.01 <= call - due.timestamp() < 2


async def test_periodic_of_a_new_workflow_is_not_late_for_lack_of_a_poll(
    make_stack: MakeStack,
) -> None:
    stack = await make_stack(**DEFAULTS)
    await stack.create(periodic("new", "1s"))
    first = await eventually(lambda: stack.executions(workflowId="new", status="completed"))
    assert first[-1]["latenessMs"] < 1000


async def test_after_downtime(make_stack: MakeStack) -> None:
    stack = await make_stack()
    await stack.create(periodic("slept", "2s", log_action("awake")))
    await stack.scheduler.stop()
    before = {e["executionId"] for e in await stack.executions(workflowId="slept")}
    due = await _shift_an_hour_back(stack, "slept")
    stack.scheduler.start()

    async def since() -> list[Json]:
        found = await stack.executions(workflowId="slept")
        return [e for e in found if e["executionId"] not in before]

    await eventually(since, lambda found: len(found) >= 3)
    found = sorted(await since(), key=lambda e: str(e["createdAt"]))
    skipped = [e for e in found if e["status"] == "skipped"]
    assert [e["skipped"]["reason"] for e in skipped] == ["missed"]
    missed = skipped[0]["skipped"]
    first, last = (datetime.fromisoformat(missed[key]) for key in ("from", "to"))
    assert first == due
    assert last == first + (missed["count"] - 1) * timedelta(seconds=2)
    assert 1795 <= missed["count"] <= 1815
    fired = sorted(datetime.fromisoformat(e["scheduledFor"]) for e in found if e not in skipped)
    assert fired[0] == last + timedelta(seconds=2)
    assert {b - a for a, b in pairwise(fired)} <= {timedelta(seconds=2)}


async def _shift_an_hour_back(stack: Stack, workflow_id: str) -> datetime:
    """Make the stored schedule what it is after the scheduler was away for an hour."""
    settings = MongoSettings(mongodb_uri(), stack.env["MONGODB_DATABASE"], timedelta(seconds=20))
    mongo = MongoConnection(settings, "tests")
    shown = (await stack.request("GET", f"/workflows/{workflow_id}")).json()
    due = datetime.fromisoformat(shown["trigger"]["nextRunAt"]) - timedelta(hours=1)
    await mongo.workflows.update_one(
        {"workflowId": workflow_id}, {"$set": {"trigger.nextRunAt": due}}
    )
    await mongo.close()
    return due
