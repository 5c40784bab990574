"""Workflows of which the newest execution takes the place of all others: `cancel-running`."""

from collections.abc import Sequence

import pytest

from shared.adapters.memory.executions import MemoryExecutions
from shared.domain.errors import Unavailable
from shared.domain.execution import Execution, Skip, SkipReason, Status
from shared.domain.fold import differences
from shared.ports.bus import ExecutionCancelled, WorkflowFreed
from shared.ports.executions import Change, RecordOutcome
from shared.use_cases.buffers import ServeBuffer, Served, WorkflowRef
from tests.support.builders import TENANT
from tests.unit.desk import Desk, Json, log, undone
from tests.unit.doubles import away


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def create(desk: Desk, *actions: Json) -> None:
    await desk.create(*(actions or [log("a")]), overlap="cancel-running")


async def trigger(desk: Desk) -> Execution:
    await desk.tick()
    execution, _ = await desk.trigger(TENANT, "hello", None, None)
    return execution


async def serve(desk: Desk) -> Served:
    serving = ServeBuffer(desk.workflows, desk.executions, desk.clock, desk.timing)
    return await serving(WorkflowRef(TENANT, "hello"))


async def statuses(desk: Desk, *executions: Execution) -> list[Status]:
    found = [await desk.stored(execution.id) for execution in executions]
    assert [differences(execution) for execution in found] == [[] for _ in found]
    assert await desk.executions.orphans() == 0
    return [execution.status for execution in found]


async def test_what_runs_is_cancelled_and_the_newest_takes_its_place_at_once(desk: Desk) -> None:
    await create(desk)
    first = await trigger(desk)
    held = await desk.claimed(first.id)
    second = await trigger(desk)
    assert (second.status, desk.notices) == (Status.BUFFERED, [WorkflowFreed(TENANT, "hello")])
    served = await serve(desk)
    assert await statuses(desk, first, second) == [Status.CANCELLED, Status.QUEUED]
    assert [e.id for e in served.promoted] == [second.id]
    assert held.lease is not None
    assert served.aborted == [ExecutionCancelled(first.id, held.lease.token)]
    assert (await desk.run(second.id)).status is Status.COMPLETED


async def test_a_free_workflow_starts_at_once(desk: Desk) -> None:
    await create(desk)
    assert (await trigger(desk)).status is Status.QUEUED
    assert await serve(desk) == Served()


async def test_what_was_done_is_undone_before_the_newest_takes_over(desk: Desk) -> None:
    await create(desk, undone("a"), log("b"))
    first = await trigger(desk)
    claimed = await desk.claimed(first.id)
    second = await trigger(desk)
    served = await serve(desk)
    assert [e.id for e in served.undoing] == [claimed.id]
    assert await statuses(desk, first, second) == [Status.QUEUED, Status.BUFFERED]
    assert await serve(desk) == Served()
    ended = await desk.run(first.id)
    assert (ended.status, "undo-a" in ended.actions) == (Status.CANCELLED, True)
    await serve(desk)
    assert await statuses(desk, first, second) == [Status.CANCELLED, Status.QUEUED]


async def test_of_those_that_wait_only_the_newest_stays(desk: Desk) -> None:
    await create(desk, undone("a"), log("b"))
    first = await trigger(desk)
    await desk.claimed(first.id)
    others = [await trigger(desk) for _ in range(3)]
    served = await serve(desk)
    assert served.superseded == 2
    assert await statuses(desk, *others) == [Status.SKIPPED, Status.SKIPPED, Status.BUFFERED]
    skipped = await desk.stored(others[0].id)
    at = others[0].created_at
    assert skipped.skip == Skip(SkipReason.SUPERSEDED, at, at, 1)
    assert skipped.expires_at is not None
    _, said = await desk.inspect.why(TENANT, skipped.id)
    assert said.sentence == (
        "It did not run (superseded): a newer one took its place before its turn had come."
    )


async def test_one_that_is_newer_than_those_that_wait_goes_on(desk: Desk) -> None:
    await create(desk)
    first = await trigger(desk)
    older = await trigger(desk)
    assert (first.status, older.status) == (Status.QUEUED, Status.BUFFERED)
    newer = await desk.stored(first.id)
    desk.executions._put(newer.evolve(created_at=desk.clock.now() + desk.timing.lease))
    served = await serve(desk)
    assert (served.promoted, served.superseded) == ([], 1)
    assert await statuses(desk, first, older) == [Status.QUEUED, Status.SKIPPED]


class Dying(MemoryExecutions):
    """Does not answer from the given write on."""

    writes = 1_000

    async def record(self, changes: Sequence[Change]) -> list[RecordOutcome]:
        if self.writes <= 0:
            raise away()
        self.writes -= 1
        return await super().record(changes)


@pytest.mark.parametrize("writes", [0, 1, 2])
async def test_what_a_crash_leaves_half_done_is_done_by_the_next_who_looks(writes: int) -> None:
    executions = Dying()
    desk = Desk(executions)
    await create(desk)
    first, second, third = [await trigger(desk) for _ in range(3)]
    executions.writes = writes
    with pytest.raises(Unavailable):
        await serve(desk)
    executions.writes = 1_000
    await serve(desk)
    assert await statuses(desk, first, second, third) == [
        Status.CANCELLED,
        Status.SKIPPED,
        Status.QUEUED,
    ]


class Overtaken(MemoryExecutions):
    """Lets somebody else serve the buffer just before each write."""

    other: ServeBuffer | None = None

    async def record(self, changes: Sequence[Change]) -> list[RecordOutcome]:
        other, self.other = self.other, None
        if other is not None:
            await other(WorkflowRef(TENANT, "hello"))
        return await super().record(changes)


async def test_two_who_look_at_once_do_not_cancel_what_the_other_let_go_on() -> None:
    executions = Overtaken()
    desk = Desk(executions)
    await create(desk)
    first, second = await trigger(desk), await trigger(desk)
    executions.other = ServeBuffer(desk.workflows, executions, desk.clock, desk.timing)
    await serve(desk)
    assert await statuses(desk, first, second) == [Status.CANCELLED, Status.QUEUED]
