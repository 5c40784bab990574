"""Punctuality: a thousand workflows every ten seconds, all due at once, for a minute."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any, Final

from shared.adapters.mongo.connection import MongoConnection, MongoSettings
from shared.adapters.system.clock import SystemClock
from tests.benchmarks.platform import platform
from tests.benchmarks.result import Result, percentile
from tests.benchmarks.usage import UsageMeter
from tests.support.builders import CATALOGUE
from tests.support.load import add_due_workflows

WORKFLOWS: Final = 1_000
INTERVAL: Final = timedelta(seconds=10)
INSTANTS: Final = 6
_LEAD: Final = timedelta(seconds=12)
_GRACE: Final = timedelta(seconds=8)


async def measure() -> Result:
    """Return how late each action began, against its ideal instant, and what went amiss."""
    with platform() as running:
        settings = MongoSettings(running.mongodb_uri, "workflows", timedelta(seconds=30))
        mongo = MongoConnection(settings, "benchmark")
        await mongo.open()
        try:
            clock = SystemClock()
            await clock.follow(mongo.server_time)
            first = clock.now() + _LEAD
            actions = [{"type": "log", "message": "hello"}]
            await add_due_workflows(mongo, CATALOGUE, WORKFLOWS, first, actions, "10s")
            meter = UsageMeter.start(running.processes)
            await clock.sleep_until(first + (INSTANTS - 1) * INTERVAL + _GRACE)
            usage = meter.read()
            instants = [first + number * INTERVAL for number in range(INSTANTS)]
            return Result("herd", await _figures(mongo, instants), usage)
        finally:
            await mongo.close()


async def _figures(mongo: MongoConnection, instants: list[datetime]) -> dict[str, Any]:
    found = await mongo.executions.find(
        {"scheduledFor": {"$in": instants}},
        {"workflowId": 1, "scheduledFor": 1, "status": 1, "actions": 1},
    ).to_list()
    ran = [execution for execution in found if execution["status"] == "completed"]
    begun = [(e["actions"]["log-1"], e["scheduledFor"]) for e in ran]
    calls = Counter((e["workflowId"], e["scheduledFor"]) for e in found)
    late = [(action["startedAt"] - due).total_seconds() * 1000 for action, due in begun]
    return {
        "due": WORKFLOWS * len(instants),
        "missed": WORKFLOWS * len(instants) - len(ran),
        "doubled": sum(count - 1 for count in calls.values())
        + sum(action["attempts"] - 1 for action, _ in begun),
        "late_ms": {
            "p50": round(percentile(late, 0.50), 2),
            "p99": round(percentile(late, 0.99), 2),
            "max": round(max(late), 2),
        },
    }
