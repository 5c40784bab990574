"""What a runner holds: room for it, renewing it, and letting go of it."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from runner_svc.metrics import RunnerMetrics
from runner_svc.use_cases.holding import Holding
from runner_svc.worker.inflight import InFlight
from runner_svc.worker.renewal import CancellationListener, Renewal
from shared.adapters.memory.clock import ManualClock, settle
from shared.adapters.memory.executions import MemoryExecutions
from shared.domain import transitions
from shared.domain.errors import Unavailable
from shared.domain.execution import Execution
from shared.ports.bus import ExecutionCancelled, ExecutionWakes
from tests.support.builders import NOW, SECOND, TENANT, lease, queued, running
from tests.unit.doubles import Faults, FaultyExecutions, FlakyBus, counted, stored

LONG = timedelta(seconds=20)
NO_TIME = timedelta()


class Work:
    """Executions under way, each until it is told to end."""

    def __init__(self, capacity: int = 3) -> None:
        self.counters = CollectorRegistry()
        self.metrics = RunnerMetrics(self.counters)
        self.in_flight = InFlight(capacity, self.metrics.in_flight)
        self.holdings: dict[str, Holding] = {}
        self._ends: dict[str, asyncio.Event] = {}

    def start(self, *executions: Execution) -> None:
        for execution in executions:
            self._ends[execution.id] = asyncio.Event()
            self.in_flight.start(execution, self._run)

    async def _run(self, holding: Holding) -> None:
        self.holdings[holding.execution.id] = holding
        await self._ends[holding.execution.id].wait()

    async def end(self, *executions: Execution) -> None:
        for execution in executions:
            self._ends[execution.id].set()
        await settle()


class RenewedExecutions(FaultyExecutions):
    """Notes which renewals it was asked for."""

    def __init__(self, seen: MemoryExecutions, faults: Faults) -> None:
        super().__init__(seen, faults)
        self.asked: list[tuple[str, frozenset[str], datetime]] = []

    async def renew(self, owner: str, ids: Collection[str], until: datetime) -> frozenset[str]:
        self.asked.append((owner, frozenset(ids), until))
        return await super().renew(owner, ids, until)


class Lessee:
    """A runner's renewal over executions in memory."""

    def __init__(self, faults: Faults | None = None) -> None:
        self.clock = ManualClock()
        self.work = Work(100)
        self.executions = RenewedExecutions(MemoryExecutions(), faults or Faults())
        self.renewal = Renewal(
            self.executions,
            self.work.in_flight,
            self.clock,
            self.work.metrics,
            "runner",
            30 * SECOND,
            10 * SECOND,
        )

    async def hold(self, *executions: Execution) -> None:
        for execution in executions:
            self.executions._put(execution)
        self.work.start(*executions)
        await settle()


A, B, C = (running(name, f"w{name}") for name in "abc")


async def test_what_is_started_takes_room_until_it_ends() -> None:
    work = Work(capacity=3)
    work.start(A, B)
    assert work.in_flight.ids == {A.id, B.id}
    assert work.in_flight.room == 1
    assert counted(work.counters, "executions_in_flight") == 2
    await work.end(A)
    assert work.in_flight.ids == {B.id}
    assert work.in_flight.room == 2
    assert counted(work.counters, "executions_in_flight") == 1
    await work.end(B)


async def test_there_is_never_less_than_no_room() -> None:
    work = Work(capacity=1)
    work.start(A, B)
    assert work.in_flight.room == 0
    await work.end(A, B)


async def test_work_begins_with_the_lease_it_was_claimed_under() -> None:
    work = Work()
    work.start(A)
    await settle()
    holding = work.holdings[A.id]
    assert (holding.execution, holding.lease_until) == (A, NOW + 30 * SECOND)
    assert not holding.recording
    await work.end(A)


def test_what_was_not_claimed_cannot_be_held() -> None:
    with pytest.raises(ValueError, match="was not claimed"):
        Holding.of(queued())


async def test_aborting_cancels_the_work_and_frees_its_room() -> None:
    work = Work()
    work.start(A, B)
    await settle()
    assert work.in_flight.abort(A.id)
    await settle()
    assert work.in_flight.ids == {B.id}
    assert not work.in_flight.abort(A.id)
    await work.end(B)


async def test_what_is_recording_is_not_aborted() -> None:
    work = Work()
    work.start(A, B)
    await settle()
    work.holdings[A.id].recording = True
    assert not work.in_flight.abort(A.id)
    work.in_flight.abort_all()
    await settle()
    assert work.in_flight.ids == {A.id}
    await work.end(A)


async def test_work_that_raises_frees_its_room_as_well() -> None:
    work = Work()

    async def leave(_: Holding) -> None:
        raise asyncio.CancelledError

    work.in_flight.start(A, leave)
    assert await work.in_flight.wait_until_empty(LONG)


async def test_an_execution_that_is_held_anew_is_not_let_go_by_the_end_of_the_old_one() -> None:
    work = Work()
    work.start(A)
    old = work._ends[A.id]
    await settle()
    work.start(A)
    await settle()
    old.set()
    await settle()
    assert work.in_flight.ids == {A.id}
    await work.end(A)
    assert work.in_flight.ids == frozenset()


@pytest.mark.parametrize("wait", [InFlight.wait_until_empty, InFlight.wait_for_room])
async def test_who_waits_goes_on_as_soon_as_something_ended(
    wait: Callable[[InFlight, timedelta], Awaitable[object]],
) -> None:
    work = Work(capacity=1)
    work.start(A)
    waiting = asyncio.ensure_future(wait(work.in_flight, LONG))
    await settle()
    assert not waiting.done()
    await work.end(A)
    assert waiting.done()


async def test_waiting_ends_in_time_and_tells_whether_anything_is_left() -> None:
    work = Work(capacity=1)
    assert await work.in_flight.wait_until_empty(NO_TIME)
    work.start(A)
    assert not await work.in_flight.wait_until_empty(NO_TIME)
    await work.in_flight.wait_for_room(NO_TIME)
    assert work.in_flight.room == 0
    await work.end(A)


async def test_renewing_moves_the_end_of_every_lease() -> None:
    lessee = Lessee()
    await lessee.hold(A, B)
    await lessee.clock.advance(10 * SECOND)
    await lessee.renewal.renew()
    until = NOW + 40 * SECOND
    assert lessee.executions.asked == [("runner", frozenset({A.id, B.id}), until)]
    for execution in (A, B):
        assert lessee.work.holdings[execution.id].lease_until == until
        after = await stored(lessee.executions, execution)
        assert (after.lease, after.wake_at) == (lease(until=until), until)
    await lessee.work.end(A, B)


async def test_with_nothing_in_flight_nothing_is_asked() -> None:
    lessee = Lessee()
    await lessee.renewal.renew()
    assert lessee.executions.asked == []


async def test_what_another_runner_took_is_aborted_and_the_rest_goes_on() -> None:
    lessee = Lessee()
    await lessee.hold(A, B)
    taken = transitions.claim(A, lease("theirs", "another"), NOW)
    lessee.executions._put(taken)
    await lessee.renewal.renew()
    await settle()
    assert lessee.work.in_flight.ids == {B.id}
    assert await stored(lessee.executions, A) == taken
    assert counted(lessee.work.counters, "leases_lost_total") == 1
    await lessee.work.end(B)


async def test_what_was_cancelled_is_aborted_at_the_next_renewal() -> None:
    lessee = Lessee()
    await lessee.hold(A)
    lessee.executions._put(transitions.cancel(A, NOW, timedelta(days=30)))
    await lessee.renewal.renew()
    assert await lessee.work.in_flight.wait_until_empty(LONG)


async def test_a_lost_one_that_is_recording_is_left_to_the_fence() -> None:
    lessee = Lessee()
    await lessee.hold(A)
    lessee.work.holdings[A.id].recording = True
    lessee.executions._put(transitions.complete(A, NOW, timedelta(days=30)))
    await lessee.renewal.renew()
    await settle()
    assert lessee.work.in_flight.ids == {A.id}
    assert counted(lessee.work.counters, "leases_lost_total") == 0
    await lessee.work.end(A)


async def test_a_lease_that_could_not_be_renewed_keeps_its_end() -> None:
    lessee = Lessee(Faults.at("after", 0))
    await lessee.hold(A)
    await lessee.clock.advance(10 * SECOND)
    with pytest.raises(Unavailable):
        await lessee.renewal.renew()
    assert lessee.work.holdings[A.id].lease_until == NOW + 30 * SECOND
    assert lessee.work.in_flight.ids == {A.id}
    await lessee.work.end(A)


async def test_renewals_follow_the_clock_and_come_sooner_after_a_failure() -> None:
    lessee = Lessee(Faults(before={1, 2}))
    await lessee.hold(A)
    renewing = asyncio.ensure_future(lessee.renewal.run())
    await settle()
    await lessee.clock.advance(35 * SECOND)
    asked = [(until - NOW).total_seconds() - 30 for _, _, until in lessee.executions.asked]
    assert asked == [10, 20, 21, 22, 32]
    renewing.cancel()
    with suppress(asyncio.CancelledError):
        await renewing
    await lessee.work.end(A)


async def test_a_cancellation_that_is_heard_aborts_at_once() -> None:
    work, bus = Work(), FlakyBus(ManualClock())
    work.start(A, B)
    listening = asyncio.ensure_future(CancellationListener(bus.listener(), work.in_flight).run())
    await settle()
    wakes = ExecutionWakes(B.id, TENANT, "wb", NOW)
    late = ExecutionCancelled(B.id, "the token of an earlier claim")
    await bus.announce([ExecutionCancelled("unknown"), wakes, late, ExecutionCancelled(A.id)])
    await settle()
    assert work.in_flight.ids == {B.id}
    listening.cancel()
    await work.end(B)
