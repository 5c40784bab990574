"""Announcing executions again: moved on first, then sent, each time later."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from scheduler_svc.metrics import SchedulerMetrics
from scheduler_svc.use_cases.sweep import SweepExecutions
from shared.adapters.memory.clock import ManualClock
from shared.adapters.memory.executions import MemoryExecutions
from shared.adapters.memory.workflows import MemoryWorkflows
from shared.domain.errors import Unavailable
from shared.domain.execution import Execution, Status
from shared.domain.outcomes import Timing
from shared.ports.bus import ExecutionRequest
from shared.ports.executions import Wake
from tests.support.builders import NOW, SECOND, TENANT, lease, queued, running
from tests.unit.doubles import Faults, FaultyExecutions, FlakyBus, counted, promoting, stored

DUE = NOW + 30 * SECOND


class WatchedBus(FlakyBus):
    """Notes where `wake_at` of everything stood at the moment something was published."""

    executions: MemoryExecutions
    seen: list[datetime | None]

    async def publish(self, requests: Sequence[ExecutionRequest], *, spread: bool = False) -> None:
        self.seen = [execution.wake_at for execution in self.executions._by_id.values()]
        await super().publish(requests, spread=spread)


@dataclass
class Rig:
    """A sweep with everything around it in memory, at the instant a queued execution is due."""

    timing: Timing = field(default_factory=Timing)
    clock: ManualClock = field(default_factory=lambda: ManualClock(DUE))
    executions: MemoryExecutions = field(default_factory=MemoryExecutions)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.bus = WatchedBus(self.clock)
        self.bus.executions, self.bus.seen = self.executions, []
        self.sweep = self.sweeping(self.executions)

    def sweeping(self, executions: MemoryExecutions) -> SweepExecutions:
        metrics = SchedulerMetrics(CollectorRegistry())
        if executions is self.executions:
            metrics = SchedulerMetrics(self.registry)
        promote = promoting(MemoryWorkflows(), executions, self.bus, self.clock)
        return SweepExecutions(executions, self.bus, self.clock, self.timing, metrics, promote)

    async def due(self) -> list[Wake]:
        return await self.executions.due(self.clock.now(), None, 100)

    async def wake_at(self, execution: Execution) -> datetime | None:
        return (await stored(self.executions, execution)).wake_at


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_what_is_due_is_moved_on_before_it_is_published(rig: Rig) -> None:
    await rig.executions.add([queued()])
    await rig.sweep(await rig.due())
    assert rig.bus.seen == [DUE + 30 * SECOND]
    assert await rig.due() == []
    assert counted(rig.registry, "executions_emitted_total") == 1


async def test_any_runner_may_take_what_is_announced_again(rig: Rig) -> None:
    execution = queued()
    await rig.executions.add([execution])
    await rig.sweep(await rig.due())
    (sent,) = rig.bus.sent()
    assert sent.request == ExecutionRequest(execution.id, TENANT, "hello", DUE)
    assert sent.record.key is None


@pytest.mark.parametrize(
    "execution",
    [
        running(),
        queued(status=Status.PENDING, next_attempt_at=DUE, wake_at=DUE),
    ],
    ids=["expired lease", "due retry"],
)
async def test_a_dead_runner_and_a_due_retry_are_announced_alike(
    rig: Rig, execution: Execution
) -> None:
    await rig.executions.add([execution])
    await rig.sweep(await rig.due())
    assert rig.bus.sent_ids() == [execution.id]
    after = await stored(rig.executions, execution)
    assert (after.status, after.lease) == (execution.status, execution.lease)
    assert after.next_attempt_at == execution.next_attempt_at


async def test_each_announcement_waits_twice_as_long_up_to_the_limit(rig: Rig) -> None:
    execution = queued()
    await rig.executions.add([execution])
    waits = []
    for _ in range(7):
        await rig.sweep(await rig.due())
        wake_at = await rig.wake_at(execution)
        assert wake_at is not None
        waits.append((wake_at - rig.clock.now()).total_seconds())
        await rig.clock.advance(wake_at - rig.clock.now())
    assert waits == [30, 60, 120, 240, 300, 300, 300]
    assert (await stored(rig.executions, execution)).resends == 7
    assert rig.bus.sent_ids() == [execution.id] * 7


async def test_a_claim_starts_the_waits_anew(rig: Rig) -> None:
    execution = queued(resends=4)
    await rig.executions.add([execution])
    claimed = await rig.executions.claim([execution.id], lease(until=DUE), NOW)
    assert len(claimed.won) == 1
    await rig.sweep(await rig.due())
    assert await rig.wake_at(execution) == DUE + 30 * SECOND


async def test_executions_at_different_stages_are_each_moved_by_their_own_wait(rig: Rig) -> None:
    fresh, old = queued("1", "fresh"), queued("2", "old", resends=2)
    await rig.executions.add([fresh, old])
    await rig.sweep(await rig.due())
    assert await rig.wake_at(fresh) == DUE + 30 * SECOND
    assert await rig.wake_at(old) == DUE + 120 * SECOND
    assert sorted(rig.bus.sent_ids()) == sorted([fresh.id, old.id])


async def test_what_could_not_be_published_is_due_again_in_five_seconds(rig: Rig) -> None:
    execution = queued(resends=3)
    await rig.executions.add([execution])
    rig.bus.away = True
    await rig.sweep(await rig.due())
    assert await rig.wake_at(execution) == DUE + 5 * SECOND
    assert counted(rig.registry, "executions_emitted_total") == 0
    rig.bus.away = False
    await rig.clock.advance(5 * SECOND)
    await rig.sweep(await rig.due())
    assert rig.bus.sent_ids() == [execution.id]


async def test_a_failed_announcement_never_waits_longer_than_a_good_one() -> None:
    rig = Rig(timing=replace(Timing(), resend=2 * SECOND))
    execution = queued()
    await rig.executions.add([execution])
    rig.bus.away = True
    await rig.sweep(await rig.due())
    assert await rig.wake_at(execution) == DUE + 2 * SECOND


async def test_what_another_moved_already_is_not_published(rig: Rig) -> None:
    mine, others = queued("1", "mine"), queued("2", "others")
    await rig.executions.add([mine, others])
    wakes = await rig.due()
    await rig.executions.postpone(wakes[1:], DUE, DUE + 60 * SECOND, resend=True)
    await rig.sweep(wakes)
    assert rig.bus.sent_ids() == [wakes[0].id]
    assert (await stored(rig.executions, others)).resends == 1


async def test_two_schedulers_with_the_same_backlog_announce_it_once(rig: Rig) -> None:
    executions = [queued(str(number), f"w{number}") for number in range(20)]
    await rig.executions.add(executions)
    wakes = await rig.due()
    await rig.sweep(wakes)
    await rig.sweep(wakes)
    assert len(rig.bus.sent_ids()) == 20


async def test_what_has_ended_meanwhile_is_not_published(rig: Rig) -> None:
    execution = queued()
    await rig.executions.add([execution])
    wakes = await rig.due()
    rig.executions._put(replace(execution, wake_at=None, active_key=None))
    await rig.sweep(wakes)
    await rig.sweep([])
    assert rig.bus.sent() == []


@pytest.mark.parametrize("lost", ["before", "after"])
async def test_a_crash_around_the_move_costs_no_more_than_one_wait(rig: Rig, lost: str) -> None:
    execution = queued()
    await rig.executions.add([execution])
    broken = rig.sweeping(FaultyExecutions(rig.executions, Faults.at(lost, 0)))
    with pytest.raises(Unavailable):
        await broken(await rig.due())
    assert rig.bus.sent() == []
    await rig.clock.advance(timedelta(seconds=30))
    await rig.sweep(await rig.due())
    assert rig.bus.sent_ids() == [execution.id]
