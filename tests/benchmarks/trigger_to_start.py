"""Latency: triggers over HTTP, one at a time, on an idle system, to the start of the action."""

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Final

import httpx

from tests.benchmarks.platform import Platform, platform
from tests.benchmarks.result import Result, percentile
from tests.benchmarks.usage import UsageMeter
from tests.support.journal import Journal
from tests.support.stack import manual

COUNT: Final = 300
_WORKFLOWS: Final = 10
_WARM_UP: Final = 30
_PAUSE_SECONDS: Final = 0.02
_DEADLINE_SECONDS: Final = 10


async def measure() -> Result:
    """Return the times from sending a request to the action's first line of code."""
    with tempfile.TemporaryDirectory() as directory, platform() as running:
        journal = Journal(Path(directory) / "journal")
        async with httpx.AsyncClient(base_url=running.api) as client:
            return await _measure(running, client, journal)


async def _measure(running: Platform, client: httpx.AsyncClient, journal: Journal) -> Result:
    for number in range(_WORKFLOWS):
        definition = manual(f"latency-{number}", journal.action())
        (await client.post("/workflows", json=definition)).raise_for_status()
    for number in range(_WARM_UP):
        await _one(client, journal, number)
    meter = UsageMeter.start(running.processes)
    times = [await _one(client, journal, number) for number in range(COUNT)]
    figures = {
        "triggers": COUNT,
        "p50": round(percentile(times, 0.50), 2),
        "p99": round(percentile(times, 0.99), 2),
        "max": round(max(times), 2),
    }
    return Result("trigger_to_start_ms", figures, meter.read())


async def _one(client: httpx.AsyncClient, journal: Journal, number: int) -> float:
    """Trigger once and return the milliseconds until the action ran; leave the system idle."""
    journal.path.write_bytes(b"")
    sent = time.time()
    response = await client.post(f"/workflows/latency-{number % _WORKFLOWS}/trigger")
    response.raise_for_status()
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not (runs := journal.runs()):
        if time.monotonic() > deadline:
            raise RuntimeError("an execution did not start")
        await asyncio.sleep(0.005)
    await asyncio.sleep(_PAUSE_SECONDS)
    return (runs[0].at - sent) * 1000
