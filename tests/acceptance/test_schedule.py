"""Scenarios: Periodic, After downtime."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import count, pairwise

import pytest

from shared.adapters.mongo.connection import MongoConnection, MongoSettings
from tests.acceptance.conftest import MakeStack
from tests.support.destination import Destination
from tests.support.servers import mongodb_uri
from tests.support.stack import ENDED, Json, Stack, log_action, periodic
from tests.support.waiting import eventually

DEFAULTS = {
    "POLL_INTERVAL": "5s",
    "LEASE": "30s",
    "LEASE_RENEWAL": "10s",
    "RESEND": "30s",
    "RESEND_MAX": "5m",
}


INTERVAL = timedelta(seconds=2)
TICKS = 10
"""So many fires in a row, through four polls, must be on time."""


async def test_periodic(make_stack: MakeStack, destination: Destination) -> None:
    """At the default settings: every 2 s, at its instant, once, without drift."""
    stack = await make_stack(**DEFAULTS)
    created = await stack.create(periodic("every-2s", "2s", destination.to("/tick")))

    async def recorded() -> list[Json]:
        found = await stack.executions(workflowId="every-2s")
        return sorted(found, key=lambda e: str(e["scheduledFor"]))

    await eventually(recorded, lambda found: _longest_on_time(found) >= TICKS, every=1)
    await stack.request("DELETE", "/workflows/every-2s")
    everything = await eventually(recorded, _all_ended)
    instants = [instant for execution in everything for instant in _instants(execution)]
    assert instants[0] == datetime.fromisoformat(created["trigger"]["nextRunAt"])
    assert {later - earlier for earlier, later in pairwise(instants)} == {INTERVAL}
    ran = {f"{e['executionId']}:http-request-1": e for e in everything if "startedAt" in e}
    assert sorted(c.headers["idempotency-key"] for c in destination.calls) == sorted(ran)
    for execution in ran.values():
        due = datetime.fromisoformat(execution["scheduledFor"])
        assert datetime.fromisoformat(execution["startedAt"]) >= due
        assert execution["latenessMs"] >= 0
    late = [
        call.at
        - datetime.fromisoformat(ran[call.headers["idempotency-key"]]["scheduledFor"]).timestamp()
        for call in destination.calls
    ]
    # The test's clock may differ a little from the platform's.
    assert -0.5 <= min(late) < 1, late


def _longest_on_time(executions: Sequence[Json]) -> int:
    """Return how many fires in a row started before the next was due."""
    longest = current = 0
    for execution in executions:
        on_time = execution["status"] == "completed" and execution["latenessMs"] < 2000
        current = current + 1 if on_time else 0
        longest = max(longest, current)
    return longest


def _all_ended(executions: Sequence[Json]) -> bool:
    return {execution["status"] for execution in executions} <= ENDED


def _instants(execution: Json) -> list[datetime]:
    """Return the instants that a record stands for; a slow machine may leave out some."""
    first = datetime.fromisoformat(execution["scheduledFor"])
    count = execution.get("skipped", {}).get("count", 1)
    return [first + number * INTERVAL for number in range(count)]


async def test_periodic_of_a_new_workflow_does_not_wait_for_a_poll(make_stack: MakeStack) -> None:
    """Once the scheduler listens, which it does soon after its start, it hears of a workflow."""
    stack = await make_stack(POLL_INTERVAL="1h")
    numbers = count()

    async def completed() -> list[Json]:
        await stack.create(periodic(f"new-{next(numbers)}", "1s"))
        return await stack.executions(status="completed")

    first = await eventually(completed, every=2)
    assert min(e["latenessMs"] for e in first) < 60_000


@pytest.mark.one_broker
async def test_after_downtime(make_stack: MakeStack) -> None:
    """After 100 h without a scheduler the last hourly instant fires; one record tells the rest."""
    stack = await make_stack()
    await stack.create(periodic("slept", "1h", log_action("awake")))
    await stack.scheduler.stop()
    due = await _shift_back(stack, "slept", timedelta(hours=100))
    stack.scheduler.start()

    async def found() -> list[Json]:
        executions = await stack.executions(workflowId="slept")
        return sorted(executions, key=lambda e: str(e["scheduledFor"]))

    skipped, fired = await eventually(
        found, lambda found: [e["status"] for e in found] == ["skipped", "completed"]
    )
    hour = timedelta(hours=1)
    missed = skipped["skipped"]
    first, last = (datetime.fromisoformat(missed[key]) for key in ("from", "to"))
    assert (missed["reason"], missed["count"]) == ("missed", 99)
    assert (first, last) == (due, due + 98 * hour)
    assert datetime.fromisoformat(fired["scheduledFor"]) == last + hour
    shown = (await stack.request("GET", "/workflows/slept")).json()
    assert datetime.fromisoformat(shown["trigger"]["nextRunAt"]) == last + 2 * hour


async def _shift_back(stack: Stack, workflow_id: str, away: timedelta) -> datetime:
    """Make the stored schedule what it is after the scheduler was away for so long."""
    settings = MongoSettings(mongodb_uri(), stack.env["MONGODB_DATABASE"], timedelta(seconds=20))
    mongo = MongoConnection(settings, "tests")
    shown = (await stack.request("GET", f"/workflows/{workflow_id}")).json()
    due = datetime.fromisoformat(shown["trigger"]["nextRunAt"]) - away
    await mongo.workflows.update_one(
        {"workflowId": workflow_id}, {"$set": {"trigger.nextRunAt": due}}
    )
    await mongo.close()
    return due
