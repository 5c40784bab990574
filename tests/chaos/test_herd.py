"""A thousand workflows that are due together every ten seconds, while processes are killed.

Every occurrence runs once: nothing is missed although a scheduler and a runner
die in the middle, and nothing is doubled although three schedulers see it due.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.mongo.connection import MongoConnection, MongoSettings
from shared.adapters.system.clock import SystemClock
from shared.domain.catalogue import ActionCatalogue, ActionSpec
from tests.support.journal import Journal
from tests.support.load import add_due_workflows
from tests.support.plugin.workflow_test_actions import JournalAction
from tests.support.servers import mongodb_uri
from tests.support.stack import SHORT_LEASE, Service, Stack
from tests.support.waiting import eventually

WORKFLOWS = 1_000
INTERVAL = timedelta(seconds=10)
INSTANTS = 7
"""One at the start, and six in the minute after it."""

_LEAD = timedelta(seconds=8)
_SETTINGS = {**SHORT_LEASE, "RESEND": "2s", "RESEND_MAX": "4s"}


@pytest.fixture
async def stack(broker: str) -> AsyncIterator[Stack]:
    made = Stack(broker, f"herd{broker}", _SETTINGS)
    try:
        made.add("workflows")
        for number in range(3):
            made.add("scheduler", f"scheduler-{number}")
        for number in range(2):
            made.add("runner", f"runner-{number}")
        await made.ready()
        yield made
    finally:
        await made.close()


@pytest.fixture
async def mongo(stack: Stack) -> AsyncIterator[MongoConnection]:
    settings = MongoSettings(mongodb_uri(), stack.env["MONGODB_DATABASE"], timedelta(seconds=30))
    connection = MongoConnection(settings, "tests")
    await connection.open()
    yield connection
    await connection.close()


async def kill(service: Service) -> None:
    await asyncio.to_thread(service.process.kill)


@pytest.mark.one_broker
@pytest.mark.timeout(1200)
async def test_a_herd_misses_and_doubles_nothing_while_processes_are_killed(
    stack: Stack, mongo: MongoConnection, tmp_path: Path
) -> None:
    clock, journal = SystemClock(), Journal(tmp_path / "journal")
    await clock.follow(mongo.server_time)
    catalogue = ActionCatalogue([ActionSpec(JournalAction)])
    first = clock.now().replace(microsecond=0) + _LEAD
    await add_due_workflows(mongo, catalogue, WORKFLOWS, first, [journal.action()], "10s")

    await clock.sleep_until(first + timedelta(seconds=20))
    await kill(stack.services["scheduler-0"])
    await clock.sleep_until(first + timedelta(seconds=30))
    await kill(stack.services["runner-0"])
    await clock.sleep_until(first + timedelta(seconds=40))
    stack.services["scheduler-0"].start()

    instants = [first + number * INTERVAL for number in range(INSTANTS)]
    found = await eventually(
        lambda: occurrences(mongo, instants),
        lambda made: len(made) >= WORKFLOWS * INSTANTS and all(map(ended, made)),
        every=1,
    )
    assert Counter(instant_of(e) for e in found) == dict.fromkeys(instants, WORKFLOWS)
    assert len({(e["workflowId"], e["scheduledFor"]) for e in found}) == WORKFLOWS * INSTANTS
    recovered = [e for e in found if e["recoveries"]]
    called_twice = {execution for (execution, _), count in journal.counts().items() if count > 1}
    assert called_twice <= {e["_id"] for e in recovered}
    behind = {e["workflowId"] for e in recovered}
    not_run = [e for e in found if e["status"] != "completed"]
    assert [e for e in not_run if not _in_the_way(e, behind)] == []


def _in_the_way(execution: dict[str, Any], behind: set[str]) -> bool:
    """Tell whether it was skipped because the one before had lost its runner, and took longer."""
    overlap = execution.get("skip", {}).get("reason") == "overlap"
    return overlap and execution["workflowId"] in behind


async def occurrences(mongo: MongoConnection, instants: list[datetime]) -> list[dict[str, Any]]:
    kept = {"workflowId": 1, "scheduledFor": 1, "status": 1, "recoveries": 1, "skip": 1}
    return await mongo.executions.find({"scheduledFor": {"$in": instants}}, kept).to_list()


def ended(execution: dict[str, Any]) -> bool:
    return execution["status"] not in {"queued", "running", "pending", "waiting"}


def instant_of(execution: dict[str, Any]) -> datetime:
    instant: datetime = execution["scheduledFor"]
    return instant.replace(tzinfo=UTC)
