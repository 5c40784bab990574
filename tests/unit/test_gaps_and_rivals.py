"""However many schedulers meet at a clock gap, and wherever they die: it leaves one record."""

from contextlib import suppress
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest

from shared.adapters.memory.clock import ManualClock
from shared.domain.errors import Unavailable
from tests.support.builders import workflow
from tests.unit.doubles import Faults, FlakyBus
from tests.unit.rivals import HELLO, World, orders, take_turns
from tests.unit.test_gaps_on_record import (
    AFTER,
    EVE,
    EVENING,
    GAP,
    JUMP,
    NIGHTLY,
    QUARTER,
    QUARTERS,
    Told,
    told,
)
from tests.unit.test_ledger_edges import DAY, HOUR


def world(trigger: dict[str, Any], now: datetime) -> World:
    """Return a world in which nobody looked since the evening."""
    made = World()
    made.clock = ManualClock(now)
    made.bus = FlakyBus(made.clock)
    due = workflow(trigger=trigger, now=EVENING)
    made.workflows._by_key = {due.key: due}
    return made


def all_of(world: World) -> list[Told]:
    return told(list(world.executions._by_id.values()))


async def test_two_schedulers_record_a_gap_once_in_whatever_order_their_calls_come() -> None:
    for order in orders(4):
        night = world(NIGHTLY, JUMP)
        await take_turns(night, order)
        assert all_of(night) == [GAP], order
        assert night.next_run_at() == AFTER, order


async def test_two_schedulers_on_either_side_of_a_gap_record_it_once() -> None:
    for order in orders(5):
        night = world({**QUARTERS, "startAt": "2026-03-29T00:30:00Z"}, JUMP + QUARTER)
        await take_turns(night, order, ManualClock(JUMP - QUARTER), night.clock)
        await night.catch_up()
        gaps = [one for one in all_of(night) if one[1] == "gap"]
        assert gaps == [(EVE, "gap", 4)], order
        counts = sum(n for _, what, n in all_of(night) if what != "gap")
        assert (counts, night.next_run_at()) == (4, JUMP + 2 * QUARTER), order


@pytest.mark.parametrize("later", [timedelta(), HOUR, DAY])
async def test_a_crash_at_any_write_around_a_gap_is_made_good(later: timedelta) -> None:
    for number, lost in product(range(9), ["before", "after"]):
        night = world(QUARTERS, JUMP + QUARTER)
        with suppress(Unavailable):
            await night.scheduler(Faults.at(lost, number))([HELLO])
        await night.clock.advance(later)
        night.finish()
        await night.catch_up()
        found = all_of(night)
        assert [one for one in found if one[1] == "gap"] == [(EVE, "gap", 4)], (number, lost)
        passed = (night.clock.now() - EVENING) // QUARTER
        assert sum(n for _, what, n in found if what != "gap") == passed, (number, lost)
