"""Schedulers in one storage and on one bus, with a clock that moves when it is told to."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from prometheus_client import CollectorRegistry

from scheduler_svc.ticker import Ticker
from scheduler_svc.use_cases.share import ShareWork
from scheduler_svc.use_cases.sweep import SweepExecutions
from shared.adapters.memory.clock import ManualClock, settle
from shared.adapters.memory.executions import MemoryExecutions
from shared.adapters.memory.operations import MemoryMembers
from shared.adapters.memory.workflows import MemoryWorkflows
from shared.domain.execution import Execution
from shared.ports.workflows import Upcoming
from tests.support.builders import NOW, SECOND, workflow
from tests.support.waiting import PATIENCE
from tests.unit.doubles import FlakyBus, away, firing

POLL = 5 * SECOND


class PolledWorkflows(MemoryWorkflows):
    """Notes when it was asked what is due; does not answer while it is `away`."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self.clock = clock
        self.polls: list[datetime] = []
        self.away = False

    async def due(
        self, horizon: datetime, shards: Collection[int] | None, limit: int
    ) -> list[Upcoming]:
        self.polls.append(self.clock.now())
        if self.away:
            raise away()
        return await super().due(horizon, shards, limit)


class House:
    """One storage and one bus, for any number of schedulers."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.bus = FlakyBus(self.clock)
        self.workflows = PolledWorkflows(self.clock)
        self.executions = MemoryExecutions()
        self.members = MemoryMembers()
        self.registries: dict[str, CollectorRegistry] = {}

    def ticker(
        self,
        name: str = "a",
        *,
        poll: timedelta = POLL,
        batch: int = 1000,
        read_ahead: int = 20_000,
        handling: MemoryExecutions | None = None,
        lead: timedelta = timedelta(),
    ) -> Ticker:
        registry = self.registries[name] = CollectorRegistry()
        clock, workflows, executions = self.clock, self.workflows, handling or self.executions
        fire = firing(workflows, executions, self.bus, clock, registry=registry, lead=lead)
        timing, metrics, promote = fire.timing, fire.metrics, fire.promote
        return Ticker(
            workflows=workflows,
            executions=self.executions,
            fire=fire,
            sweep=SweepExecutions(executions, self.bus, clock, timing, metrics, promote),
            promote=promote,
            share=ShareWork(self.members, clock, metrics, name, 3 * poll, lambda: True),
            clock=clock,
            metrics=metrics,
            poll_interval=poll,
            batch=batch,
            read_ahead=read_ahead,
            lead=lead,
        )

    async def wait(self, seconds: float) -> None:
        """Let time pass, and everybody do what is to be done meanwhile."""
        await settle(50)
        await self.clock.advance(timedelta(seconds=seconds))
        await settle(50)

    async def add(self, *names: str, interval: str = "7s", **more: Any) -> None:
        for name in names:
            made = workflow(name, interval=interval, now=self.clock.now(), **more)
            await self.workflows.add(made)

    def occurrences(self) -> list[Execution]:
        found = self.executions._by_id.values()
        return sorted((e for e in found if e.scheduled_for), key=lambda e: e.created_at)

    def fired_at(self) -> list[float]:
        """Return the seconds at which occurrences were dealt with; each must be on time."""
        assert all(e.created_at == e.scheduled_for for e in self.occurrences())
        return [(e.created_at - NOW).total_seconds() for e in self.occurrences()]

    def polled_at(self) -> list[float]:
        return [(at - NOW).total_seconds() for at in self.workflows.polls]

    def sent_at(self) -> list[float]:
        return [(sent.record.timestamp - NOW).total_seconds() for sent in self.bus.sent()]


@asynccontextmanager
async def ticking(*tickers: Ticker) -> AsyncIterator[None]:
    """Let tickers run, and end them the way the service does."""
    stop = asyncio.Event()
    running = [asyncio.ensure_future(ticker.run(stop)) for ticker in tickers]
    await settle()
    yield
    stop.set()
    await asyncio.wait_for(asyncio.gather(*running), PATIENCE)
