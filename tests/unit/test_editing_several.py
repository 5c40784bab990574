"""Whatever is edited, switched and crashed: each instant that a trigger had is on record once."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import Unavailable
from shared.ports.workflows import Upcoming
from tests.support.builders import NOW, SECOND, TENANT
from tests.unit.desk import Desk
from tests.unit.documents import LOG
from tests.unit.doubles import (
    Faults,
    FaultyExecutions,
    FaultyWorkflows,
    FlakyBus,
    firing,
)

Intervals = dict[str, int]
"""The interval of each trigger, in seconds; their instants are the multiples of it."""


class World(Desk):
    """A workflow whose instants are reckoned beside the platform."""

    def __init__(self, intervals: Intervals) -> None:
        super().__init__()
        self.bus = FlakyBus(self.clock)
        self.intervals = intervals
        self.since = dict.fromkeys(intervals, NOW)
        self.expected: list[tuple[str, datetime]] = []
        self.lengths: dict[tuple[str, datetime], int] = {}

    def document(self) -> dict[str, Any]:
        triggers = [
            {"id": name, "type": "periodic", "interval": f"{seconds}s", "phase": "0s"}
            for name, seconds in self.intervals.items()
        ]
        return {"workflowId": "hello", "triggers": triggers, "actions": [LOG]}

    def pass_on(self, changed: Sequence[str]) -> None:
        """Reckon the instants that triggers had until now; what follows is another matter."""
        now = self.clock.now()
        for name in changed:
            every = timedelta(seconds=self.intervals[name])
            count = (now - NOW) // every
            had = [
                NOW + k * every for k in range(1, count + 1) if NOW + k * every > self.since[name]
            ]
            self.expected += [(name, at) for at in had]
            self.lengths |= {(name, at): self.intervals[name] for at in had}

    async def edit(self, intervals: Intervals) -> None:
        old, now = self.intervals, self.clock.now()
        self.pass_on([name for name in old if old[name] != intervals.get(name)])
        self.since = {
            name: self.since[name] if old.get(name) == intervals[name] else now
            for name in intervals
        }
        self.intervals = intervals
        await self.define.replace(TENANT, "hello", self.document(), None)

    async def switch(self, *, enabled: bool) -> None:
        await self.define.set_enabled(TENANT, "hello", enabled=enabled, if_match=None)

    async def fire(self, faults: Faults) -> None:
        workflows = FaultyWorkflows(self.workflows, faults)
        executions = FaultyExecutions(self.executions, faults)
        fire = firing(workflows, executions, self.bus, self.clock)
        with suppress(Unavailable):
            await fire([Upcoming(TENANT, "hello", self.clock.now())])

    def served(self) -> list[tuple[str, datetime]]:
        """Return the instants on record, as often as they are."""
        found: list[tuple[str, datetime]] = []
        for execution in self.executions._by_id.values():
            name, skip, at = execution.trigger_id, execution.skip, execution.scheduled_for
            assert at
            every = timedelta(seconds=self.lengths[name, at])
            found += [(name, at + k * every) for k in range(skip.count if skip else 1)]
        return sorted(found)


INTERVALS = st.dictionaries(st.sampled_from("abc"), st.sampled_from([10, 15]), min_size=1)
FAULTS = st.builds(
    Faults,
    before=st.frozensets(st.integers(0, 7), max_size=1),
    after=st.frozensets(st.integers(0, 7), max_size=1),
)
STEPS = st.one_of(st.integers(1, 45), INTERVALS, st.booleans(), FAULTS)


@given(INTERVALS, st.lists(STEPS, max_size=12))
async def test_every_instant_of_every_trigger_is_on_record_once_whatever_happens(
    first: Intervals, steps: list[int | Intervals | bool | Faults]
) -> None:
    world = World(first)
    await world.define.create(TENANT, world.document())
    for step in steps:
        match step:
            case bool():
                await world.switch(enabled=step)
            case int():
                await world.clock.advance(step * SECOND)
            case Faults():
                await world.fire(step)
            case _:
                await world.edit(step)
    await world.switch(enabled=True)
    await world.fire(Faults())
    world.pass_on([*world.intervals])
    assert world.served() == sorted(world.expected)
