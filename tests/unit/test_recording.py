"""Recording outcomes: batches gather by themselves, and nobody's outcome is lost."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from runner_svc.metrics import RunnerMetrics
from runner_svc.use_cases.recorder import Recorder
from shared.adapters.memory.clock import settle
from shared.adapters.memory.executions import MemoryExecutions
from shared.domain import transitions
from shared.domain.errors import Unavailable
from shared.ports.executions import Change, RecordOutcome
from tests.support.builders import NOW, lease, running
from tests.support.waiting import PATIENCE
from tests.unit.doubles import away, counted

MONTH = timedelta(days=30)
APPLIED, REFUSED = RecordOutcome.APPLIED, RecordOutcome.REFUSED


class SlowExecutions(MemoryExecutions):
    """Writes when it is let, and remembers what each write was given."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[str]] = []
        self.open = asyncio.Event()
        self.failures = 0
        self.lost_replies = 0

    async def record(self, changes: Sequence[Change]) -> list[RecordOutcome]:
        self.batches.append([change.before.id for change in changes])
        await self.open.wait()
        if self.failures:
            self.failures -= 1
            raise away()
        outcomes = await super().record(changes)
        if self.lost_replies:
            self.lost_replies -= 1
            raise away()
        return outcomes


class Desk:
    """A recorder, its storage, and executions to record outcomes of."""

    def __init__(self, max_batch: int = 100) -> None:
        self.executions = SlowExecutions()
        self.counters = CollectorRegistry()
        self.recorder = Recorder(self.executions, RunnerMetrics(self.counters), max_batch)

    def hand_in(self, *names: str) -> list[asyncio.Task[RecordOutcome]]:
        """Hand in the release of executions, one after the other."""
        return [asyncio.ensure_future(self.recorder.record(self.change(name))) for name in names]

    def change(self, name: str) -> Change:
        held = running(name, f"w{name}")
        if held.id not in self.executions._by_id:
            self.executions._put(held)
        return Change(held, transitions.release(held, NOW))

    def batches(self) -> list[list[str]]:
        return [[name.rpartition(":")[2] for name in batch] for batch in self.executions.batches]


@asynccontextmanager
async def recording(desk: Desk) -> AsyncIterator[Desk]:
    """Let a recorder work."""
    task = asyncio.ensure_future(desk.recorder.run())
    await settle()
    try:
        yield desk
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_what_waits_while_a_write_is_under_way_goes_into_the_next_one() -> None:
    async with recording(Desk()) as desk:
        first = desk.hand_in("1")
        await settle()
        rest = desk.hand_in("2", "3", "4")
        await settle()
        assert desk.batches() == [["1"]]
        desk.executions.open.set()
        assert await asyncio.gather(*first, *rest) == [APPLIED] * 4
    assert desk.batches() == [["1"], ["2", "3", "4"]]


async def test_a_single_change_does_not_wait_for_company() -> None:
    async with recording(Desk()) as desk:
        desk.executions.open.set()
        for name in "123":
            assert await desk.recorder.record(desk.change(name)) is APPLIED
    assert desk.batches() == [["1"], ["2"], ["3"]]
    assert counted(desk.counters, "record_batch_size_count") == 3


async def test_a_batch_has_a_largest_size_and_the_order_is_kept() -> None:
    names = [str(number) for number in range(10)]
    async with recording(Desk(max_batch=4)) as desk:
        handed = desk.hand_in(*names)
        desk.executions.open.set()
        await asyncio.gather(*handed)
    assert desk.batches() == [names[:4], names[4:8], names[8:]]


async def test_each_caller_learns_what_became_of_its_own_change() -> None:
    desk = Desk()
    desk.executions.open.set()
    changes = [desk.change(name) for name in "123"]
    desk.executions._put(transitions.claim(changes[1].after, lease("another"), NOW))
    async with recording(desk):
        outcomes = await asyncio.gather(*map(desk.recorder.record, changes))
    assert outcomes == [APPLIED, REFUSED, APPLIED]


async def test_what_is_handed_in_before_the_recorder_runs_is_not_lost() -> None:
    desk = Desk()
    handed = desk.hand_in("1", "2")
    await settle()
    desk.executions.open.set()
    async with recording(desk):
        assert await asyncio.gather(*handed) == [APPLIED] * 2


@pytest.mark.parametrize("replies", [False, True], ids=["request lost", "reply lost"])
async def test_while_the_storage_is_away_it_keeps_trying(*, replies: bool) -> None:
    async with recording(Desk()) as desk:
        desk.executions.open.set()
        desk.executions.failures = 0 if replies else 2
        desk.executions.lost_replies = 2 if replies else 0
        handed = desk.hand_in("1", "2")
        assert await asyncio.gather(*handed) == [APPLIED] * 2
    assert desk.batches() == [["1", "2"]] * 3


async def test_what_comes_while_the_storage_is_away_is_written_afterwards() -> None:
    async with recording(Desk()) as desk:
        desk.executions.failures = 1
        first = desk.hand_in("1")
        await settle()
        later = desk.hand_in("2")
        desk.executions.open.set()
        assert await asyncio.gather(*first, *later) == [APPLIED] * 2
    assert desk.batches() == [["1"], ["1"], ["2"]]


async def test_a_caller_that_gave_up_keeps_nobody_else_from_an_answer() -> None:
    async with recording(Desk()) as desk:
        gone, waiting = desk.hand_in("1", "2")
        await settle()
        gone.cancel()
        await settle()
        desk.executions.open.set()
        assert await waiting is APPLIED
        assert gone.cancelled()
        assert await desk.recorder.record(desk.change("3")) is APPLIED


async def test_nobody_is_left_waiting_when_the_recorder_ends() -> None:
    executions = SlowExecutions()
    recorder = Recorder(executions, RunnerMetrics(CollectorRegistry()), 1)
    running_loop = asyncio.ensure_future(recorder.run())
    changes = [Change(e, transitions.complete(e, NOW, MONTH)) for e in map(running, "123")]
    waiting = [asyncio.ensure_future(recorder.record(change)) for change in changes]
    await settle()
    running_loop.cancel()
    results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), PATIENCE)
    assert [type(result) for result in results] == [Unavailable] * 3
    with pytest.raises(Unavailable):
        await recorder.record(changes[0])
