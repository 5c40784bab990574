"""What executions that wait for months cost the polls of the scheduler: nothing."""

from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Final

import pytest

from shared.adapters.mongo.connection import MongoConnection
from shared.adapters.mongo.executions import MongoExecutions
from shared.adapters.mongo.operations import MongoDeadLetters, MongoMembers
from shared.adapters.mongo.workflows import MongoWorkflows
from shared.domain import transitions
from shared.domain.execution import EventType, Execution, Status
from tests.integration.plans import Plan, Storage
from tests.support.builders import CATALOGUE, NOW, SECOND, lease, queued

WAITING, DUE, BATCH = 10_000, 5, 1_000
DELAY: Final = timedelta(days=90)
POLL: Final = 5 * SECOND
OWN_SHARDS: Final = range(32)


@pytest.fixture
async def storage(mongo: MongoConnection) -> Storage:
    """Storage with a few executions that are due within one poll, each at its own instant."""
    made = Storage(
        mongo,
        MongoExecutions(mongo.executions),
        MongoWorkflows(mongo, CATALOGUE),
        MongoDeadLetters(mongo),
        MongoMembers(mongo),
    )
    due = [queued("1", f"due-{n}", wake_at=NOW + n * SECOND / 2) for n in range(DUE)]
    await made.executions.add(due)
    return made


def delayed(number: int) -> Execution:
    """Return an execution as a runner leaves it at a delay of 90 days."""
    until = NOW + DELAY + number * SECOND
    claimed = transitions.claim(queued("1", f"delayed-{number}"), lease(), NOW)
    waits = transitions.happen(
        claimed, EventType.ACTION_WAITING, NOW, action="rest", attempt=1, next_attempt_at=until
    )
    return transitions.suspend(waits, EventType.WAITING, until, NOW)


def batches() -> Iterator[list[Execution]]:
    for start in range(0, WAITING, BATCH):
        yield [delayed(number) for number in range(start, start + BATCH)]


POLLS: Final[dict[str, Callable[[Storage], Awaitable[object]]]] = {
    "all shards": lambda s: s.executions.due(NOW + POLL, None, 20_000),
    "the shards of one scheduler": lambda s: s.executions.due(NOW + POLL, OWN_SHARDS, 20_000),
    "nothing due": lambda s: s.executions.due(NOW - SECOND, None, 20_000),
    "orphans": lambda s: s.executions.orphans(),
}


async def _plans(storage: Storage) -> dict[str, Plan]:
    found: dict[str, Plan] = {}
    for name, poll in POLLS.items():
        # One of them asks twice, side by side, of two indexes that are alike.
        plans = sorted(await storage.plans(poll), key=lambda plan: plan.keys)
        found |= {f"{name}, {number}": plan for number, plan in enumerate(plans, start=1)}
    return found


async def test_ten_thousand_delays_add_nothing_to_a_poll(storage: Storage) -> None:
    before = await _plans(storage)
    for batch in batches():
        await storage.executions.add(batch)
    entries = await storage.entries("executions")
    assert entries["due"] == WAITING + DUE
    after = await _plans(storage)
    for name, plan in after.items():
        # The one more is where the index goes on after what is due, and the scan ends.
        assert plan.keys <= before[name].keys + 1, name
        assert (plan.documents, plan.returned) == (before[name].documents, before[name].returned)
    assert all("COLLSCAN" not in plan.stages for plan in after.values())
    assert after["all shards, 1"].returned == DUE
    assert after["all shards, 1"].keys <= DUE + 1


async def test_a_delay_that_ends_is_found_among_those_that_do_not(storage: Storage) -> None:
    for batch in batches():
        await storage.executions.add(batch)
    horizon = NOW + DELAY + 2 * SECOND
    found = await storage.executions.due(horizon, None, 20_000)
    assert len(found) == DUE + 3
    (plan,) = await storage.plans(lambda s: s.executions.due(horizon, None, 20_000))
    assert plan.keys <= plan.returned + 1
    first = delayed(0)
    lease_then = lease(until=horizon + 30 * SECOND)
    claimed = await storage.executions.claim([first.id], lease_then, horizon)
    assert [won.status for won in claimed.won] == [Status.RUNNING]
    early = await storage.executions.claim([delayed(9).id], lease_then, horizon)
    assert early.won == ()
