"""What a poll costs: with 100 workflows due among a thousand, a hundred thousand, a million."""

import time
from datetime import timedelta
from typing import Any, Final

from shared.adapters.mongo.connection import MongoConnection, MongoSettings
from shared.adapters.mongo.workflow_mapping import workflow_document
from shared.adapters.mongo.workflows import MongoWorkflows
from shared.adapters.system.clock import SystemClock
from shared.domain.identity import shard_of, workflow_key
from tests.benchmarks.platform import platform
from tests.benchmarks.result import Result, percentile
from tests.benchmarks.usage import UsageMeter
from tests.support.builders import CATALOGUE, TENANT, workflow

SIZES: Final = {"1k": 1_000, "100k": 100_000, "1m": 1_000_000}
DUE: Final = 100
_POLLS: Final = 300
_CHUNK: Final = 10_000
_LATER: Final = timedelta(days=300)


async def measure() -> Result:
    """Return the milliseconds of a poll's query for each size, and the last against the first."""
    with platform(runners=0, schedulers=0) as running:
        settings = MongoSettings(running.mongodb_uri, "workflows", timedelta(seconds=60))
        mongo = MongoConnection(settings, "benchmark")
        await mongo.open()
        try:
            clock = SystemClock()
            meter = UsageMeter.start(running.processes)
            figures: dict[str, Any] = {}
            stored = 0
            for name, size in SIZES.items():
                await _add(mongo, stored, size, clock)
                stored = size
                figures[f"ms_{name}"] = await _poll(mongo, clock)
            figures["ratio_1m_to_1k"] = round(figures["ms_1m"] / figures["ms_1k"], 3)
            return Result("poll", figures, meter.read())
        finally:
            await mongo.close()


async def _add(mongo: MongoConnection, stored: int, size: int, clock: SystemClock) -> None:
    """Store workflows up to `size`; the first 100 of all are due now, the others much later."""
    now = clock.now()
    document = workflow_document(workflow("x", interval="8h", now=now))
    model = document.model_dump(by_alias=True, exclude_none=True)
    for start in range(stored, size, _CHUNK):
        numbers = range(start, min(start + _CHUNK, size))
        await mongo.workflows.insert_many(
            [
                {
                    **model,
                    "_id": workflow_key(TENANT, f"w{number}"),
                    "workflowId": f"w{number}",
                    "shard": shard_of(TENANT, f"w{number}"),
                    "trigger": {
                        **model["trigger"],
                        "nextRunAt": now if number < DUE else now + _LATER,
                    },
                }
                for number in numbers
            ],
            ordered=False,
        )


async def _poll(mongo: MongoConnection, clock: SystemClock) -> float:
    """Return the median of many polls, in milliseconds."""
    workflows = MongoWorkflows(mongo, CATALOGUE)
    times = []
    for _ in range(_POLLS):
        began = time.perf_counter()
        found = await workflows.due(clock.now(), None, 20_000)
        times.append((time.perf_counter() - began) * 1000)
        if len(found) != DUE:
            raise RuntimeError(f"{len(found)} workflows were due instead of {DUE}")
    return round(percentile(times, 0.5), 3)
