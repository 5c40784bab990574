"""Firing over crashes and by several schedulers at once: every instant counts exactly once."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.memory.clock import ManualClock, settle
from shared.domain.errors import Unavailable
from shared.domain.execution import Status
from tests.support.builders import NOW, SECOND, queued
from tests.unit.doubles import Faults
from tests.unit.rivals import DUE, FAULTS, HELLO, POLICIES, World, orders, take_turns

MOMENTS = {"on-time": 10, "late": 19, "one-missed": 20, "downtime": 57}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seconds", [*MOMENTS.values(), 157], ids=[*MOMENTS, "long-downtime"])
async def test_a_crash_at_any_write_is_made_good_by_the_next_calls(
    seconds: int, policy: str
) -> None:
    for number, lost in product(range(9), ["before", "after"]):
        world = World(seconds, policy)
        with suppress(Unavailable):
            await world.scheduler(Faults.at(lost, number))([HELLO])
        await world.catch_up()
        world.check()
        assert world.fired() == world.promised(), (number, lost)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seconds", MOMENTS.values(), ids=MOMENTS)
async def test_a_crash_is_made_good_even_after_further_instants_have_passed(
    seconds: int, policy: str
) -> None:
    for number, lost in product(range(9), ["before", "after"]):
        world = World(seconds, policy)
        with suppress(Unavailable):
            await world.scheduler(Faults.at(lost, number))([HELLO])
        await world.clock.advance(35 * SECOND)
        world.finish()
        await world.catch_up()
        world.check()
        assert set(world.fired()) >= set(world.promised()), (number, lost)


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("lost", ["before", "after"])
async def test_a_crash_while_an_overlap_is_recorded_is_made_good(lost: str, number: int) -> None:
    world = World(10)
    await world.executions.add([queued()])
    with suppress(Unavailable):
        await world.scheduler(Faults.at(lost, number))([HELLO])
    await world.scheduler()([HELLO])
    world.check()
    assert (world.skipped(), world.bus.sent_ids()) == ([DUE], [])


async def test_two_schedulers_on_time_fire_once_in_whatever_order_their_calls_come() -> None:
    for order in orders(4):
        world = World(10)
        await take_turns(world, order)
        assert len(world.bus._pending) == 1, order
        world.check()
        assert world.fired() == [DUE], order


async def test_two_schedulers_that_meet_an_active_execution_record_it_once() -> None:
    for order in orders(4):
        world = World(10)
        await world.executions.add([queued()])
        await take_turns(world, order)
        world.check()
        assert world.skipped() == [DUE], order


@pytest.mark.parametrize("policy", POLICIES)
async def test_two_schedulers_after_a_downtime_keep_the_promise_in_whatever_order(
    policy: str,
) -> None:
    for order in orders(5):
        world = World(57, policy)
        await take_turns(world, order)
        assert len(world.fired()) == 1, order
        await world.catch_up()
        world.check()
        assert world.fired() == world.promised(), order


@pytest.mark.parametrize("policy", POLICIES)
async def test_two_schedulers_on_either_side_of_an_instant_fire_none_twice(policy: str) -> None:
    for order in orders(5):
        world = World(62, policy)
        await take_turns(world, order, ManualClock(NOW + 58 * SECOND), world.clock)
        await world.catch_up()
        world.check()


@pytest.mark.parametrize("policy", POLICIES)
async def test_schedulers_that_plan_far_apart_record_every_instant_once(policy: str) -> None:
    for order in orders(5):
        world = World(72, policy)
        await take_turns(world, order, ManualClock(NOW + 58 * SECOND), world.clock)
        await world.clock.advance(9 * SECOND)
        await world.catch_up()
        world.check()


async def test_one_that_was_asleep_over_further_instants_records_none_of_them_again() -> None:
    for order in orders(5):
        world = World(32)
        await take_turns(world, order, ManualClock(DUE), world.clock)
        await world.catch_up()
        world.check()


@given(
    st.sampled_from(sorted(POLICIES)),
    st.lists(st.tuples(st.integers(0, 40), FAULTS, FAULTS), min_size=1, max_size=4),
)
async def test_schedulers_that_crash_again_and_again_serve_every_instant_once(
    policy: str, rounds: list[tuple[int, Faults, Faults]]
) -> None:
    world = World(10, policy)
    for seconds, *faults in rounds:
        await world.clock.advance(timedelta(seconds=seconds))
        together = [world.scheduler(each)([HELLO]) for each in faults]
        results = await asyncio.gather(*together, return_exceptions=True)
        assert all(isinstance(r, list | Unavailable) for r in results)
    await world.catch_up()
    world.check()


async def test_what_ended_between_two_schedulers_still_fires_or_skips_only_once() -> None:
    world = World(10)
    await world.executions.add([queued()])
    slow = world.scheduler(Faults(pauses=[0, 0, 0, 30]))
    firing = asyncio.ensure_future(slow([HELLO]))
    await settle(10)
    world.executions._put(queued(status=Status.COMPLETED, active_key=None, wake_at=None))
    await world.scheduler()([HELLO])
    await firing
    world.check()
    assert (world.fired(), world.skipped()) == ([DUE], [])
