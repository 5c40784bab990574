"""Throughput: many one-step executions of as many workflows, all due at once, end to end."""

import asyncio
import time
from datetime import UTC, timedelta
from typing import Any

import httpx

from shared.adapters.mongo.connection import MongoConnection, MongoSettings
from shared.adapters.mongo.workflows import MongoWorkflows
from shared.adapters.system.clock import SystemClock
from shared.domain.workflow import create
from tests.benchmarks.platform import Platform, platform
from tests.benchmarks.usage import UsageMeter
from tests.support.builders import CATALOGUE, TENANT, definition

_LEAD = timedelta(seconds=7)
_DEADLINE_SECONDS = 180


async def measure(count: int) -> dict[str, Any]:
    """Return the rate from the common instant to the last recorded completion."""
    with platform() as running:
        settings = MongoSettings(running.mongodb_uri, "workflows", timedelta(seconds=30))
        mongo = MongoConnection(settings, "benchmark")
        await mongo.open()
        try:
            return await _measure(running, mongo, count)
        finally:
            await mongo.close()


async def _measure(running: Platform, mongo: MongoConnection, count: int) -> dict[str, Any]:
    clock = SystemClock()
    await clock.follow(mongo.server_time)
    workflows = MongoWorkflows(mongo, CATALOGUE)
    names = iter(range(count))

    async def add_some() -> None:
        for number in names:
            made = create(TENANT, definition(f"bench-{number}", interval="8h"), 1, clock.now())
            await workflows.add_version(TENANT, made.definition, 1)
            await workflows.add(made)

    await asyncio.gather(*(add_some() for _ in range(32)))
    due = clock.now() + _LEAD
    await mongo.workflows.update_many({}, {"$set": {"trigger.nextRunAt": due}})
    meter = UsageMeter.start(running.processes)
    await _await_completion(running, count)
    usage = meter.read()
    last = await mongo.executions.find_one({}, sort=[("finishedAt", -1)])
    completed = await mongo.executions.count_documents({"status": "completed"})
    if last is None or completed != count:
        raise RuntimeError(f"{completed} of {count} executions completed")
    seconds = (last["finishedAt"].replace(tzinfo=UTC) - due).total_seconds()
    return {
        "executions": count,
        "seconds": round(seconds, 3),
        "executions_per_second": round(count / seconds, 1),
        "processes": usage,
    }


async def _await_completion(running: Platform, count: int) -> None:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    async with httpx.AsyncClient() as client:
        while time.monotonic() < deadline:
            page = await client.get(f"{running.services['runner'].url}/metrics")
            if _completed(page.text) >= count:
                return
            await asyncio.sleep(0.25)
    raise RuntimeError(f"not done within {_DEADLINE_SECONDS} s")


def _completed(metrics: str) -> float:
    for line in metrics.splitlines():
        if line.startswith('executions_total{outcome="completed"}'):
            return float(line.split()[-1])
    return 0
