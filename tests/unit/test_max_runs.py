"""A trigger that fires so often and no more, whoever crashes and however many count."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.api import workflow_view
from shared.domain.due import instants_after
from shared.domain.errors import Unavailable
from shared.domain.rescheduling import redefine
from shared.domain.workflow import Workflow
from tests.support.builders import NOW, SECOND, definition, queued, workflow
from tests.unit.doubles import Faults
from tests.unit.rivals import DUE, EVERY, FAULTS, HELLO, POLICIES, World, orders, take_turns

LIMITED = {"type": "periodic", "interval": "10s", "maxRuns": 3}


def _runs(world: World) -> int:
    return world.workflows._by_key["default:hello"].runs.get("periodic", 0)


def _check(world: World, runs: int) -> None:
    """It fired so often, each time counted, and every instant until then was served once."""
    assert (len(world.fired()), _runs(world)) == (runs, runs)
    assert world.served() == [DUE + k * EVERY for k in range(len(world.served()))]
    world.check_sent()


@pytest.mark.parametrize("policy", POLICIES)
async def test_after_so_many_fires_it_comes_to_its_end(policy: str) -> None:
    world = World(0, policy, maxRuns=3)
    for _ in range(5):
        await world.clock.advance(25 * SECOND)
        await world.catch_up()
    _check(world, 3)
    assert world.next_run_at() is None
    assert world.served()[-1] == world.fired()[-1]


async def test_what_is_skipped_does_not_count() -> None:
    world = World(10, maxRuns=1)
    await world.executions.add([queued()])
    await world.scheduler()([HELLO])
    assert (_runs(world), world.skipped(), world.next_run_at()) == (0, [DUE], DUE + EVERY)
    world.finish()
    await world.clock.advance(EVERY)
    await world.scheduler()([HELLO])
    assert (_runs(world), world.fired(), world.next_run_at()) == (1, [DUE + EVERY], None)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seconds", [10, 57])
async def test_a_crash_at_any_write_counts_every_fire_once(seconds: int, policy: str) -> None:
    for number, lost in product(range(9), ["before", "after"]):
        world = World(seconds, policy, maxRuns=2)
        with suppress(Unavailable):
            await world.scheduler(Faults.at(lost, number))([HELLO])
        await world.catch_up()
        assert world.fired() == world.promised(), (number, lost)
        _check(world, len(world.promised()))


@pytest.mark.parametrize("policy", ["latest", "all"])
async def test_two_schedulers_count_a_fire_once_in_whatever_order(policy: str) -> None:
    for order in orders(5):
        world = World(57, policy, maxRuns=2)
        await take_turns(world, order)
        await world.catch_up()
        assert world.fired() == world.promised(), order
        _check(world, len(world.promised()))


@given(
    st.sampled_from(sorted(POLICIES)),
    st.integers(1, 5),
    st.lists(st.tuples(st.integers(0, 40), FAULTS, FAULTS), min_size=1, max_size=4),
)
async def test_schedulers_that_crash_again_and_again_never_fire_too_often(
    policy: str, limit: int, rounds: list[tuple[int, Faults, Faults]]
) -> None:
    world = World(10, policy, maxRuns=limit)
    for seconds, *faults in rounds:
        await world.clock.advance(timedelta(seconds=seconds))
        together = [world.scheduler(each)([HELLO]) for each in faults]
        results = await asyncio.gather(*together, return_exceptions=True)
        assert all(isinstance(r, list | Unavailable) for r in results)
        world.finish()
    await world.catch_up()
    fires = len(world.fired())
    assert fires <= limit
    assert (world.next_run_at() is None) is (fires == limit)
    _check(world, fires)


def test_another_trigger_counts_anew_and_another_action_does_not() -> None:
    fired = replace(workflow(trigger=LIMITED), runs={"periodic": 2})
    said = definition(trigger=LIMITED, actions=[{"type": "log", "message": "more"}])
    assert redefine(fired, said, 2, NOW).runs == {"periodic": 2}
    longer = definition(trigger={**LIMITED, "maxRuns": 5})
    assert redefine(fired, longer, 2, NOW).runs == {}


def instants(limited: Workflow, since: datetime, now: datetime) -> list[datetime]:
    return [at for at, _ in instants_after(limited, since, now)]


def test_no_more_instants_are_to_come_than_runs_are_left() -> None:
    limited = workflow(trigger=LIMITED)
    assert instants(limited, NOW, NOW) == [DUE, DUE + EVERY, DUE + 2 * EVERY]
    assert instants(limited, DUE + SECOND, NOW) == [DUE + EVERY, DUE + 2 * EVERY]
    assert instants(limited, DUE + SECOND, DUE + SECOND) == [DUE + k * EVERY for k in (1, 2, 3)]
    assert instants(limited, NOW + 3600 * SECOND, NOW) == []


def test_runs_are_shown_where_they_are_limited() -> None:
    limited = replace(workflow(trigger=LIMITED), runs={"periodic": 2})
    assert workflow_view(limited, ()).trigger.runs == 2
    assert workflow_view(workflow(trigger=LIMITED), ()).trigger.runs == 0
    assert workflow_view(workflow(interval="10s"), ()).trigger.runs is None
