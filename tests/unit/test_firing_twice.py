"""Firing over crashes and by several schedulers at once: every instant counts exactly once."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from scheduler_svc.metrics import SchedulerMetrics
from scheduler_svc.use_cases.fire import FireDueWorkflows
from shared.adapters.memory.clock import ManualClock, settle
from shared.adapters.memory.executions import MemoryExecutions
from shared.adapters.memory.workflows import MemoryWorkflows
from shared.domain.errors import Unavailable
from shared.domain.execution import Status
from shared.domain.outcomes import Timing
from shared.ports.workflows import Upcoming
from tests.support.builders import NOW, SECOND, TENANT, queued, workflow
from tests.unit.doubles import Faults, FaultyExecutions, FaultyWorkflows, FlakyBus

EVERY = 10 * SECOND
DUE = NOW + EVERY
HELLO = Upcoming(TENANT, "hello", DUE)
MOMENTS = {"on-time": 10, "late": 19, "one-missed": 20, "downtime": 57}
POLICIES: dict[str, dict[str, str]] = {
    "latest": {},
    "latest-within": {"catchUpWindow": "25s"},
    "all": {"catchUp": "all"},
    "all-within": {"catchUp": "all", "catchUpWindow": "25s"},
    "none": {"catchUp": "none"},
}


class World:
    """One storage, and schedulers that see it through faults of their own."""

    def __init__(self, seconds: float = 0, policy: str = "latest") -> None:
        self.policy = POLICIES[policy]
        self.clock = ManualClock(NOW + timedelta(seconds=seconds))
        self.bus = FlakyBus(self.clock)
        self.executions = MemoryExecutions()
        self.workflows = MemoryWorkflows()
        due = workflow(trigger={"type": "periodic", "interval": "10s", **self.policy})
        self.workflows._by_key[due.key] = due

    def scheduler(
        self, faults: Faults | None = None, clock: ManualClock | None = None
    ) -> FireDueWorkflows:
        shared = faults or Faults()
        return FireDueWorkflows(
            FaultyWorkflows(self.workflows, shared),
            FaultyExecutions(self.executions, shared),
            self.bus,
            clock or self.clock,
            Timing(),
            SchedulerMetrics(CollectorRegistry()),
        )

    def fired(self) -> list[datetime]:
        """Return the instants for which an execution was queued."""
        found = self.executions._by_id.values()
        return sorted(e.scheduled_for for e in found if e.scheduled_for and not e.skip)

    def skipped(self) -> list[datetime]:
        """Return the instants that a record stands for, as often as one does."""
        records = [e.skip for e in self.executions._by_id.values() if e.skip]
        return sorted(r.first + k * EVERY for r in records for k in range(r.count))

    def next_run_at(self) -> datetime | None:
        return self.workflows._by_key["default:hello"].next_run_at

    def promised(self) -> list[datetime]:
        """Return which of the instants up to now are to fire, if nobody looked before now."""
        limits = {"catchUpWindow": 25 * SECOND, "none": 60 * SECOND}
        late = [limits[k] for pair in self.policy.items() for k in pair if k in limits]
        since = self.clock.now() - min(late, default=self.clock.now() - NOW)
        passed = (self.clock.now() - DUE) // EVERY
        fresh = [at for k in range(passed + 1) if (at := DUE + k * EVERY) >= since]
        return fresh if "all" in self.policy.values() else fresh[-1:]

    def finish(self) -> None:
        """Let what runs come to its end."""
        for execution in list(self.executions._by_id.values()):
            if execution.active_key:
                ended = execution.evolve(status=Status.COMPLETED, active_key=None, wake_at=None)
                self.executions._put(ended)

    async def catch_up(self) -> None:
        """Look again and again, until nothing waits for its turn any more."""
        for _ in range(20):
            await self.scheduler()([HELLO])
            self.finish()
            if (at := self.next_run_at()) is None or at > self.clock.now():
                return

    def check(self) -> None:
        """Every instant up to now was served once, and the next one is in the future."""
        passed = (self.clock.now() - DUE) // EVERY
        assert sorted(self.fired() + self.skipped()) == [DUE + k * EVERY for k in range(passed + 1)]
        assert self.next_run_at() == DUE + (passed + 1) * EVERY
        sent = self.bus.sent_ids()
        assert len(sent) == len(set(sent))


class InTurn(Faults):
    """Lets two schedulers make their calls in a given order, as `ABBA…` says."""

    def __init__(self, name: str, order: deque[str]) -> None:
        super().__init__()
        self.name, self.order = name, order

    @asynccontextmanager
    async def call(self) -> AsyncIterator[None]:
        while self.name in self.order and self.order[0] != self.name:
            await settle(1)
        if self.order:
            self.order.popleft()
        yield

    def leave(self) -> None:
        """Stand in nobody's way any longer."""
        kept = [name for name in self.order if name != self.name]
        self.order.clear()
        self.order.extend(kept)


def _orders(calls: int) -> Iterator[str]:
    """Yield every order in which two can make so many calls each."""
    for places in combinations(range(2 * calls), calls):
        yield "".join("A" if place in places else "B" for place in range(2 * calls))


async def _take_turns(world: World, order: str, *clocks: ManualClock) -> None:
    """Let two schedulers fire at once, their calls in the given order."""
    queue = deque(order)

    async def fire(name: str, clock: ManualClock | None) -> None:
        faults = InTurn(name, queue)
        await world.scheduler(faults, clock)([HELLO])
        faults.leave()

    first, second = clocks or (None, None)
    await asyncio.gather(fire("A", first), fire("B", second))


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
    for order in _orders(4):
        world = World(10)
        await _take_turns(world, order)
        assert len(world.bus._pending) == 1, order
        world.check()
        assert world.fired() == [DUE], order


async def test_two_schedulers_that_meet_an_active_execution_record_it_once() -> None:
    for order in _orders(4):
        world = World(10)
        await world.executions.add([queued()])
        await _take_turns(world, order)
        world.check()
        assert world.skipped() == [DUE], order


@pytest.mark.parametrize("policy", POLICIES)
async def test_two_schedulers_after_a_downtime_keep_the_promise_in_whatever_order(
    policy: str,
) -> None:
    for order in _orders(5):
        world = World(57, policy)
        await _take_turns(world, order)
        assert len(world.fired()) == 1, order
        await world.catch_up()
        world.check()
        assert world.fired() == world.promised(), order


@pytest.mark.parametrize("policy", POLICIES)
async def test_two_schedulers_on_either_side_of_an_instant_fire_none_twice(policy: str) -> None:
    for order in _orders(5):
        world = World(62, policy)
        await _take_turns(world, order, ManualClock(NOW + 58 * SECOND), world.clock)
        await world.catch_up()
        world.check()


@pytest.mark.parametrize("policy", POLICIES)
async def test_schedulers_that_plan_far_apart_record_every_instant_once(policy: str) -> None:
    for order in _orders(5):
        world = World(72, policy)
        await _take_turns(world, order, ManualClock(NOW + 58 * SECOND), world.clock)
        await world.clock.advance(9 * SECOND)
        await world.catch_up()
        world.check()


async def test_one_that_was_asleep_over_further_instants_records_none_of_them_again() -> None:
    for order in _orders(5):
        world = World(32)
        await _take_turns(world, order, ManualClock(DUE), world.clock)
        await world.catch_up()
        world.check()


FAULTS = st.builds(
    Faults,
    before=st.frozensets(st.integers(0, 9), max_size=2),
    after=st.frozensets(st.integers(0, 9), max_size=2),
    pauses=st.lists(st.integers(0, 4), min_size=1, max_size=5),
)


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
