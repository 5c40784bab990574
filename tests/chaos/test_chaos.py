"""Every process and server is struck down in the middle of 20,000 executions that fell due at once.

Whatever is struck: every execution ends, none runs again after its success was
recorded, no workflow stays busy, no execution is left without a wake-up, and
every lifecycle event is published.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import datetime

import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tests.chaos.battlefield import DUE_AT_ONCE, Battlefield, battlefield
from tests.support.waiting import eventually

_STRUCK_AFTER = 2_000
_MORE_WAVES = 3
"""So often a strike is repeated that a busy machine let come too late."""

_CLOCKS_AGREE = 0.025
"""Seconds by which the journal's clock and the platform's may differ."""


@pytest.fixture(scope="session")
async def field(
    broker: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Battlefield]:
    directory = tmp_path_factory.mktemp("chaos")
    async with battlefield(broker, f"chaos{broker}", directory) as made:
        yield made


async def _kill_service(field: Battlefield, name: str) -> None:
    service = field.stack.services[name]
    await asyncio.to_thread(service.process.kill)
    service.start()


async def _kill_workflows(field: Battlefield) -> None:
    await _kill_service(field, "workflows")


async def _kill_scheduler(field: Battlefield) -> None:
    await _kill_service(field, "scheduler")


async def _kill_runner(field: Battlefield) -> None:
    await _kill_service(field, "runner")


async def _wipe_broker(field: Battlefield) -> None:
    await field.broker.kill()
    await field.broker.wipe()
    await field.broker.start()


async def _step_down(field: Battlefield) -> None:
    def command() -> None:
        address = f"mongodb://127.0.0.1:{field.mongo_server.port}/?directConnection=true"
        with MongoClient[dict[str, object]](address) as client, suppress(PyMongoError):
            client.admin.command("replSetStepDown", 3, force=True)

    await asyncio.to_thread(command)


STRIKES: dict[str, Callable[[Battlefield], Awaitable[None]]] = {
    "workflows service killed": _kill_workflows,
    "scheduler service killed": _kill_scheduler,
    "runner service killed": _kill_runner,
    "broker killed and wiped": _wipe_broker,
    "MongoDB primary steps down": _step_down,
}
MAY_REPEAT_AN_ACTION = {"runner service killed", "MongoDB primary steps down"}
LOSES_WHAT_WAS_PUBLISHED = {"broker killed and wiped"}
NEEDS_NO_BROKER = {"workflows service killed", "MongoDB primary steps down"}
"""Whoever is struck here does not consume, so that it does not matter what broker there is."""


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("strike", sorted(STRIKES.keys() - NEEDS_NO_BROKER))
async def test_chaos(field: Battlefield, strike: str) -> None:
    await _chaos(field, strike)


@pytest.mark.one_broker
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("strike", sorted(NEEDS_NO_BROKER))
async def test_chaos_away_from_the_broker(field: Battlefield, strike: str) -> None:
    await _chaos(field, strike)


async def _chaos(field: Battlefield, strike: str) -> None:
    async with field.subscribed() as tap:
        due = await _survive(field, strike)
        if strike not in LOSES_WHAT_WAS_PUBLISHED:
            await tap.hears(await field.lifecycle(due), within=300)


async def _survive(field: Battlefield, strike: str) -> datetime:
    due, in_time = await _wave(field, strike)
    for _ in range(_MORE_WAVES):
        if in_time:
            break
        due, in_time = await _wave(field, strike)
    assert in_time, "each strike came too late to matter"

    assert await field.outcomes(due) == {("completed", ""): DUE_AT_ONCE}
    assert await field.orphans() == 0
    assert await field.stack.scheduler.metric("orphans") == 0
    busy = await field.stack.request("GET", "/workflows", params={"status": "busy"})
    assert busy.json()["items"] == []
    await _check_runs(field, due, may_repeat=strike in MAY_REPEAT_AN_ACTION)
    return due


async def _wave(field: Battlefield, strike: str) -> tuple[datetime, bool]:
    """Strike in the middle of a wave, until it ends; tell whether it was not over by then."""
    due = await field.start_wave()
    clients = asyncio.create_task(field.trigger_by_hand())
    await eventually(
        lambda: field.completed(due), lambda n: n >= _STRUCK_AFTER, within=300, every=0.1
    )
    await STRIKES[strike](field)
    in_time = await field.completed(due) < DUE_AT_ONCE
    await field.stack.ready()
    await field.await_end(due)
    clients.cancel()
    with suppress(asyncio.CancelledError):
        await clients
    await eventually(field.unfinished, lambda n: n == 0)
    return due, in_time


async def _check_runs(field: Battlefield, due: datetime, *, may_repeat: bool) -> None:
    """Compare what the actions noted with what was recorded."""
    finished = await field.finished_at(due)
    assert field.triggered, "nobody triggered anything by hand"
    assert set(field.triggered) <= finished.keys()
    runs = field.journal.runs()
    assert {run.execution_id for run in runs} == finished.keys()
    late = [run for run in runs if run.at > finished[run.execution_id] + _CLOCKS_AGREE]
    assert late == [], "ran again after the success was recorded"
    repeated = Counter(run.execution_id for run in runs) - Counter(finished.keys())
    assert may_repeat or not repeated
