"""Throughput: many executions of as many workflows, all due at once, end to end."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx

from shared.adapters.mongo.connection import MongoConnection, MongoSettings
from shared.adapters.system.clock import SystemClock
from tests.benchmarks.platform import Platform, platform
from tests.benchmarks.result import Result
from tests.benchmarks.usage import UsageMeter
from tests.support.builders import CATALOGUE
from tests.support.load import add_due_workflows

COUNT: Final = 20_000
_LOG: Final = {"type": "log", "message": "hello"}
_LATER: Final = timedelta(hours=4)
_LEAD: Final = timedelta(seconds=8)
_DEADLINE_SECONDS: Final = 180


async def one_step() -> Result:
    """Return the rate of workflows that have one action."""
    return await _measured("one_step", [_LOG])


async def three_step() -> Result:
    """Return the rate of workflows whose three actions run one after the other."""
    return await _measured("three_step", [_LOG] * 3)


async def _measured(workload: str, actions: list[dict[str, Any]]) -> Result:
    with platform() as running:
        settings = MongoSettings(running.mongodb_uri, "workflows", timedelta(seconds=30))
        mongo = MongoConnection(settings, "benchmark")
        await mongo.open()
        try:
            return await _measure(workload, actions, running, mongo)
        finally:
            await mongo.close()


async def _measure(
    workload: str, actions: list[dict[str, Any]], running: Platform, mongo: MongoConnection
) -> Result:
    clock = SystemClock()
    await clock.follow(mongo.server_time)
    await add_due_workflows(mongo, CATALOGUE, COUNT, clock.now() + _LATER, actions)
    due = clock.now() + _LEAD
    await mongo.workflows.update_many({}, {"$set": {"trigger.nextRunAt": due}})
    meter = UsageMeter.start(running.processes)
    await clock.sleep_until(due)
    await _await_completion(running)
    usage = meter.read()
    seconds = (await _last_completion(mongo) - due).total_seconds()
    figures = {
        "executions": COUNT,
        "seconds": round(seconds, 3),
        "executions_per_second": round(COUNT / seconds, 1),
    }
    await _check_steps(mongo, len(actions))
    return Result(workload, figures, usage)


async def _check_steps(mongo: MongoConnection, steps: int) -> None:
    """The rate counts only if every step of every execution is on record."""
    recorded = await mongo.executions.count_documents(
        {"history": {"$size": steps + 3}, "history.type": "action.completed"}
    )
    if recorded != COUNT:
        raise RuntimeError(f"{recorded} of {COUNT} histories have all their events")


async def _last_completion(mongo: MongoConnection) -> datetime:
    completed = await mongo.executions.count_documents({"status": "completed"})
    last = await mongo.executions.find_one({}, sort=[("finishedAt", -1)])
    if last is None or completed != COUNT:
        raise RuntimeError(f"{completed} of {COUNT} executions completed")
    finished: datetime = last["finishedAt"]
    return finished.replace(tzinfo=UTC)


async def _await_completion(running: Platform) -> None:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    runners = [s.url for name, s in running.services.items() if name.startswith("runner")]
    async with httpx.AsyncClient() as client:
        while time.monotonic() < deadline:
            pages = [await client.get(f"{url}/metrics") for url in runners]
            if sum(_completed(page.text) for page in pages) >= COUNT:
                return
            await asyncio.sleep(0.25)
    raise RuntimeError(f"not done within {_DEADLINE_SECONDS} s")


def _completed(metrics: str) -> float:
    for line in metrics.splitlines():
        if line.startswith('executions_total{outcome="completed"}'):
            return float(line.split()[-1])
    return 0
