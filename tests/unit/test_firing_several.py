"""Firing a workflow with several triggers: each instant of each of them counts once."""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler_svc.use_cases.fire import FireDueWorkflows
from shared.adapters.memory.clock import ManualClock
from shared.adapters.memory.executions import MemoryExecutions
from shared.adapters.memory.workflows import MemoryWorkflows
from shared.domain.errors import Unavailable
from shared.domain.execution import Execution, SkipReason, Status
from shared.domain.workflow import Workflow
from shared.ports.workflows import Upcoming
from tests.support.builders import NOW, SECOND, TENANT, workflow
from tests.unit.doubles import (
    Faults,
    FaultyExecutions,
    FaultyWorkflows,
    FlakyBus,
    firing,
)
from tests.unit.schedulers import House, ticking

TENTH = NOW + 10 * SECOND
EVERY = {"a": 10 * SECOND, "b": 10 * SECOND, "c": 15 * SECOND}
HELLO = Upcoming(TENANT, "hello", TENTH)


def several(**intervals: timedelta) -> Workflow:
    """Return the workflow `hello` with a trigger for each interval."""
    triggers = [
        {"id": name, "type": "periodic", "interval": f"{every.seconds}s"}
        for name, every in (intervals or EVERY).items()
    ]
    return workflow(triggers=triggers)


class World:
    """One storage with a workflow, and schedulers that see it through faults of their own."""

    def __init__(self, seconds: float) -> None:
        self.clock = ManualClock(NOW + timedelta(seconds=seconds))
        self.bus = FlakyBus(self.clock)
        self.executions = MemoryExecutions()
        self.workflows = MemoryWorkflows()
        due = several()
        self.workflows._by_key[due.key] = due

    def scheduler(self, faults: Faults | None = None) -> FireDueWorkflows:
        shared = faults or Faults()
        workflows = FaultyWorkflows(self.workflows, shared)
        executions = FaultyExecutions(self.executions, shared)
        return firing(workflows, executions, self.bus, self.clock)

    def records(self) -> list[Execution]:
        return list(self.executions._by_id.values())

    def fired(self) -> list[tuple[str, datetime]]:
        found = [e for e in self.records() if not e.skip]
        return sorted((e.trigger_id, e.scheduled_for) for e in found if e.scheduled_for)

    def served(self) -> list[tuple[str, datetime]]:
        """Return the instants of each trigger that are on record, as often as they are."""
        skipped = [
            (e.trigger_id, e.skip.first + k * EVERY[e.trigger_id])
            for e in self.records()
            if e.skip
            for k in range(e.skip.count)
        ]
        return sorted([*self.fired(), *skipped])

    def check(self) -> None:
        """Every instant up to now is on record once; every trigger waits for its next."""
        passed = {name: (self.clock.now() - NOW) // every for name, every in EVERY.items()}
        assert self.served() == [
            (name, NOW + k * every)
            for name, every in EVERY.items()
            for k in range(1, passed[name] + 1)
        ]
        assert self.workflows._by_key["default:hello"].next_runs == {
            name: NOW + (passed[name] + 1) * every for name, every in EVERY.items()
        }
        sent = self.bus.sent_ids()
        assert len(sent) == len(set(sent))


async def test_of_two_triggers_due_at_once_one_fires_and_the_other_is_recorded_as_skipped() -> None:
    world = World(10)
    following = await world.scheduler()([HELLO])
    world.check()
    assert world.fired() == [("a", TENTH)]
    (skipped,) = [e for e in world.records() if e.skip]
    assert (skipped.id, skipped.status) == (
        "default:hello:b:2026-01-01T00:00:10.000Z:0",
        Status.SKIPPED,
    )
    assert skipped.skip
    assert skipped.skip.reason is SkipReason.OVERLAP
    assert {item.next_run_at - NOW for item in following} == {15 * SECOND, 20 * SECOND}


@pytest.mark.parametrize("number", range(7))
@pytest.mark.parametrize("lost", ["before", "after"])
@pytest.mark.parametrize("seconds", [10, 15, 31, 57])
async def test_a_crash_at_any_write_leaves_every_instant_of_each_trigger_on_record_once(
    seconds: int, lost: str, number: int
) -> None:
    world = World(seconds)
    with suppress(Unavailable):
        await world.scheduler(Faults.at(lost, number))([HELLO])
    await world.scheduler()([HELLO])
    world.check()


FAULTS = st.builds(
    Faults,
    before=st.frozensets(st.integers(0, 12), max_size=2),
    after=st.frozensets(st.integers(0, 12), max_size=2),
    pauses=st.lists(st.integers(0, 4), min_size=1, max_size=5),
)


@given(st.lists(st.tuples(st.integers(0, 40), FAULTS, FAULTS), min_size=1, max_size=4))
async def test_schedulers_that_crash_again_and_again_serve_every_instant_of_each_trigger_once(
    rounds: list[tuple[int, Faults, Faults]],
) -> None:
    world = World(10)
    for seconds, *faults in rounds:
        await world.clock.advance(timedelta(seconds=seconds))
        together = [world.scheduler(each)([HELLO]) for each in faults]
        results = await asyncio.gather(*together, return_exceptions=True)
        assert all(isinstance(r, list | Unavailable) for r in results)
    await world.scheduler()([HELLO])
    world.check()


async def test_each_trigger_fires_at_its_own_instants_between_two_polls() -> None:
    house = House()
    await house.workflows.add(several(a=2 * SECOND, b=3 * SECOND))
    async with ticking(house.ticker()):
        for _ in range(12):
            await house.wait(0.5)
    assert house.fired_at() == [2, 3, 4, 6, 6]
    assert [e.trigger_id for e in house.occurrences()][:3] == ["a", "b", "a"]
    assert {e.trigger_id for e in house.occurrences()[3:]} == {"a", "b"}
