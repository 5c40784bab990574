"""Schedulers that fire the same workflow at once, or one after another's crash."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any

from hypothesis import strategies as st

from scheduler_svc.use_cases.fire import FireDueWorkflows
from shared.adapters.memory.clock import ManualClock, settle
from shared.adapters.memory.executions import MemoryExecutions
from shared.adapters.memory.workflows import MemoryWorkflows
from shared.domain.execution import Status
from shared.ports.workflows import Upcoming
from tests.support.builders import NOW, SECOND, TENANT, workflow
from tests.unit.doubles import (
    Faults,
    FaultyExecutions,
    FaultyWorkflows,
    FlakyBus,
    firing,
)

EVERY = 10 * SECOND
DUE = NOW + EVERY
HELLO = Upcoming(TENANT, "hello", DUE)
POLICIES: dict[str, dict[str, Any]] = {
    "latest": {},
    "latest-within": {"catchUpWindow": "25s"},
    "all": {"catchUp": "all"},
    "all-within": {"catchUp": "all", "catchUpWindow": "25s"},
    "none": {"catchUp": "none"},
}


class World:
    """One storage, and schedulers that see it through faults of their own."""

    def __init__(self, seconds: float = 0, policy: str = "latest", **trigger: Any) -> None:
        self.policy = {**POLICIES[policy], **trigger}
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
        workflows = FaultyWorkflows(self.workflows, shared)
        executions = FaultyExecutions(self.executions, shared)
        return firing(workflows, executions, self.bus, clock or self.clock)

    def fired(self) -> list[datetime]:
        """Return the instants for which an execution was queued."""
        found = self.executions._by_id.values()
        return sorted(e.scheduled_for for e in found if e.scheduled_for and not e.skip)

    def skipped(self) -> list[datetime]:
        """Return the instants that a record stands for, as often as one does."""
        records = [e.skip for e in self.executions._by_id.values() if e.skip]
        return sorted(r.first + k * EVERY for r in records for k in range(r.count))

    def served(self) -> list[datetime]:
        """Return the instants that fired or were skipped, as often as they did."""
        return sorted(self.fired() + self.skipped())

    def next_run_at(self) -> datetime | None:
        return self.workflows._by_key["default:hello"].next_run_at

    def promised(self) -> list[datetime]:
        """Return which of the instants up to now are to fire, if nobody looked before now."""
        limits = {"catchUpWindow": 25 * SECOND, "none": 60 * SECOND}
        late = [limits[k] for pair in self.policy.items() for k in pair if k in limits]
        since = self.clock.now() - min(late, default=self.clock.now() - NOW)
        passed = (self.clock.now() - DUE) // EVERY
        fresh = [at for k in range(passed + 1) if (at := DUE + k * EVERY) >= since]
        fires = fresh if "all" in self.policy.values() else fresh[-1:]
        return fires[: self.policy.get("maxRuns")]

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
        assert self.served() == [DUE + k * EVERY for k in range(passed + 1)]
        assert self.next_run_at() == DUE + (passed + 1) * EVERY
        self.check_sent()

    def check_sent(self) -> None:
        """No request was sent twice."""
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


def orders(calls: int) -> Iterator[str]:
    """Yield every order in which two can make so many calls each."""
    for places in combinations(range(2 * calls), calls):
        yield "".join("A" if place in places else "B" for place in range(2 * calls))


async def take_turns(world: World, order: str, *clocks: ManualClock) -> None:
    """Let two schedulers fire at once, their calls in the given order."""
    queue = deque(order)

    async def fire(name: str, clock: ManualClock | None) -> None:
        faults = InTurn(name, queue)
        await world.scheduler(faults, clock)([HELLO])
        faults.leave()

    first, second = clocks or (None, None)
    await asyncio.gather(fire("A", first), fire("B", second))


FAULTS = st.builds(
    Faults,
    before=st.frozensets(st.integers(0, 9), max_size=2),
    after=st.frozensets(st.integers(0, 9), max_size=2),
    pauses=st.lists(st.integers(0, 4), min_size=1, max_size=5),
)
