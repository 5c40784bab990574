"""Stand-ins for what surrounds the use cases: storage with faults, and a bus that can be away."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import cycle
from typing import Self

from prometheus_client import CollectorRegistry

from scheduler_svc.metrics import SchedulerMetrics
from scheduler_svc.use_cases.fire import FireDueWorkflows
from scheduler_svc.use_cases.halt import HaltFailing
from scheduler_svc.use_cases.promote import PromoteBuffered
from shared.adapters.memory.bus import MemoryBus
from shared.adapters.memory.clock import settle
from shared.adapters.memory.executions import MemoryExecutions
from shared.adapters.memory.ledger import MemoryLedger
from shared.adapters.memory.workflows import MemoryWorkflows
from shared.contracts.requests import decode_request
from shared.domain.definition import WorkflowDefinition
from shared.domain.due import DueWorkflow
from shared.domain.errors import Unavailable
from shared.domain.execution import Execution, Lease
from shared.domain.outcomes import Timing
from shared.domain.overlap import Crowd
from shared.domain.workflow import Workflow
from shared.ports.bus import Delivery, ExecutionRequest, Notice, Record
from shared.ports.clock import Clock
from shared.ports.executions import (
    AddOutcome,
    Change,
    Claim,
    ExecutionRepository,
    RecordOutcome,
    Wake,
)
from shared.ports.workflows import Advance, Upcoming, VersionRef, WorkflowRepository
from shared.use_cases.buffers import ServeBuffer


class Faults:
    """Decides at which calls, counted from 0, a dependency fails, and lets others go first.

    A call in `before` has no effect; a call in `after` has, but its reply is
    lost. `pauses` says how many turns others get at each end of each call.
    """

    def __init__(
        self,
        *,
        before: Collection[int] = (),
        after: Collection[int] = (),
        pauses: Sequence[int] = (0,),
    ) -> None:
        self.before = before
        self.after = after
        self.calls = 0
        self._pauses = cycle(pauses)

    @classmethod
    def at(cls, side: str, number: int) -> Self:
        """Return faults that lose one call: its request (`before`) or its reply (`after`)."""
        lost = {number}
        return cls(before=lost) if side == "before" else cls(after=lost)

    @asynccontextmanager
    async def call(self) -> AsyncIterator[None]:
        """Surround one call."""
        number = self.calls
        self.calls += 1
        await settle(next(self._pauses))
        if number in self.before:
            raise away()
        yield
        await settle(next(self._pauses))
        if number in self.after:
            raise away()


def away() -> Unavailable:
    """Return what a dependency raises that does not answer."""
    return Unavailable("mongodb", "it went away")


class FaultyExecutions(MemoryExecutions):
    """The executions of another repository, seen over a connection with faults."""

    def __init__(self, seen: MemoryExecutions, faults: Faults) -> None:
        super().__init__()
        self._by_id, self._holders, self._waiting = seen._by_id, seen._holders, seen._waiting
        self.faults = faults

    async def add(self, executions: Sequence[Execution]) -> list[AddOutcome]:
        async with self.faults.call():
            return await super().add(executions)

    async def claim(self, ids: Sequence[str], lease: Lease, now: datetime) -> Claim:
        async with self.faults.call():
            return await super().claim(ids, lease, now)

    async def renew(self, owner: str, ids: Collection[str], until: datetime) -> frozenset[str]:
        async with self.faults.call():
            return await super().renew(owner, ids, until)

    async def record(self, changes: Sequence[Change]) -> list[RecordOutcome]:
        async with self.faults.call():
            return await super().record(changes)

    async def due(
        self, horizon: datetime, shards: Collection[int] | None, limit: int
    ) -> list[Wake]:
        async with self.faults.call():
            return await super().due(horizon, shards, limit)

    async def postpone(
        self, wakes: Sequence[Wake], now: datetime, until: datetime, *, resend: bool
    ) -> list[Wake]:
        async with self.faults.call():
            return await super().postpone(wakes, now, until, resend=resend)

    async def get(self, tenant: str, execution_id: str) -> Execution | None:
        async with self.faults.call():
            return await super().get(tenant, execution_id)

    async def active(self, active_keys: Collection[str]) -> Mapping[str, Execution]:
        async with self.faults.call():
            return await super().active(active_keys)

    async def crowds(self, workflow_keys: Collection[str]) -> Mapping[str, Crowd]:
        async with self.faults.call():
            return await super().crowds(workflow_keys)

    async def buffered(self, workflow_key: str, limit: int) -> list[Execution]:
        async with self.faults.call():
            return await super().buffered(workflow_key, limit)


class FaultyWorkflows(MemoryWorkflows):
    """The workflows of another repository, seen over a connection with faults."""

    def __init__(self, seen: MemoryWorkflows, faults: Faults) -> None:
        super().__init__()
        self._by_key, self._versions = seen._by_key, seen._versions
        self.faults = faults

    async def versions(
        self, refs: Collection[VersionRef]
    ) -> Mapping[VersionRef, WorkflowDefinition]:
        async with self.faults.call():
            return await super().versions(refs)

    async def due(
        self, horizon: datetime, shards: Collection[int] | None, limit: int
    ) -> list[Upcoming]:
        async with self.faults.call():
            return await super().due(horizon, shards, limit)

    async def read_due(self, keys: Collection[str]) -> list[DueWorkflow]:
        async with self.faults.call():
            return await super().read_due(keys)

    async def save(self, before: Workflow, after: Workflow) -> bool:
        async with self.faults.call():
            return await super().save(before, after)

    async def advance(self, moves: Sequence[Advance]) -> None:
        async with self.faults.call():
            await super().advance(moves)


class FlakyBus(MemoryBus):
    """A bus in memory that takes nothing while it is `away`."""

    away = False

    async def publish(self, requests: Sequence[ExecutionRequest], *, spread: bool = False) -> None:
        self._check()
        await super().publish(requests, spread=spread)

    async def announce(self, notices: Sequence[Notice]) -> None:
        self._check()
        await super().announce(notices)

    async def dead_letter(self, record: Record, reason: str) -> None:
        self._check()
        await super().dead_letter(record, reason)

    def sent(self) -> list[Delivery]:
        """Take off and return all requests that are waiting."""
        return [decode_request(record) for record in self.take(1_000_000)]

    def sent_ids(self) -> list[str]:
        """Take off all requests that are waiting and return which executions they ask for."""
        return [sent.request.execution_id for sent in self.sent() if sent.request]

    def _check(self) -> None:
        if self.away:
            raise Unavailable("kafka", "it went away")


def promoting(
    workflows: WorkflowRepository,
    executions: ExecutionRepository,
    bus: MemoryBus,
    clock: Clock,
    metrics: SchedulerMetrics | None = None,
) -> PromoteBuffered:
    """Return what a scheduler lets buffered executions go on with."""
    buffers = ServeBuffer(workflows, executions, clock, Timing())
    metrics = metrics or SchedulerMetrics(CollectorRegistry())
    return PromoteBuffered(buffers, bus, bus, clock, metrics)


def firing(
    workflows: WorkflowRepository,
    executions: MemoryExecutions,
    bus: MemoryBus,
    clock: Clock,
    *,
    registry: CollectorRegistry | None = None,
    lead: timedelta = timedelta(),
) -> FireDueWorkflows:
    """Return what a scheduler fires with."""
    metrics = SchedulerMetrics(registry or CollectorRegistry())
    halt = HaltFailing(workflows, MemoryLedger(executions), metrics)
    promote = promoting(workflows, executions, bus, clock, metrics)
    return FireDueWorkflows(
        workflows, executions, bus, clock, Timing(), metrics, halt, promote, lead
    )


async def stored(executions: ExecutionRepository, execution: Execution) -> Execution:
    """Return an execution as it is stored now."""
    found = await executions.get(execution.tenant, execution.id)
    assert found is not None, f"{execution.id} is not stored"
    return found


def counted(registry: CollectorRegistry, name: str, **labels: str) -> float:
    """Return what a metric has counted; nothing yet is 0."""
    return registry.get_sample_value(name, labels) or 0
