"""What was buffered counts as a run, whatever became of it, and whoever crashed."""

from contextlib import suppress

import pytest

from shared.domain.errors import Unavailable
from shared.use_cases.buffers import WorkflowRef
from tests.support.builders import SECOND, TENANT, queued, workflow
from tests.unit.doubles import Faults, promoting
from tests.unit.rivals import DUE, EVERY, HELLO, World

HELLO_REF = WorkflowRef(TENANT, "hello")
LIMITED = {"type": "periodic", "interval": "10s", "maxRuns": 2}


async def busy_world() -> World:
    """Return one in which something runs that is newer than the instant that has come."""
    world = World(10)
    replacing = workflow(trigger=LIMITED, overlap="cancel-running")
    world.workflows._by_key["default:hello"] = replacing
    await world.executions.add([queued(now=DUE + SECOND)])
    return world


async def supersede(world: World) -> None:
    """Do what a scheduler does that hears of the workflow."""
    await promoting(world.workflows, world.executions, world.bus, world.clock)({HELLO_REF})


async def test_one_that_was_superseded_before_its_turn_counts() -> None:
    world = await busy_world()
    await world.scheduler()([HELLO])
    world.finish()
    await world.clock.advance(EVERY)
    await world.scheduler()([HELLO])
    assert (world.skipped(), world.fired()) == ([DUE], [DUE + EVERY])
    (ended,) = world.workflows._by_key.values()
    assert (ended.runs, ended.next_run_at) == ({"periodic": 2}, None)


@pytest.mark.parametrize("side", ["before", "after"])
async def test_it_counts_once_also_if_the_scheduler_that_buffered_it_crashed(side: str) -> None:
    for number in range(9):
        world = await busy_world()
        with suppress(Unavailable):
            await world.scheduler(Faults.at(side, number))([HELLO])
        await supersede(world)
        await world.scheduler()([HELLO])
        (counted,) = world.workflows._by_key.values()
        assert (counted.runs, counted.next_run_at) == ({"periodic": 1}, DUE + EVERY), number
        assert world.skipped() == [DUE], number
