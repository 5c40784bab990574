"""Schedules whose instants come faster than their executions end."""

from datetime import timedelta

import pytest

from shared.domain import transitions
from shared.domain.execution import Execution, Status
from shared.domain.fold import differences
from shared.domain.rescheduling import redefine
from shared.domain.workflow import delete
from shared.ports.bus import ExecutionCancelled, WorkflowFreed
from shared.ports.executions import Change, RecordOutcome
from tests.support.builders import NOW, SECOND, TENANT, definition, lease
from tests.unit.doubles import counted, stored
from tests.unit.schedulers import House, ticking


@pytest.fixture
def house() -> House:
    return House()


async def test_occurrences_run_side_by_side_up_to_the_limit(house: House) -> None:
    await house.add("hello", interval="2s", overlap="allow", maxConcurrent=3)
    async with ticking(house.ticker()):
        await house.wait(8)
    assert [(e.status, e.active_key) for e in house.occurrences()] == [
        (Status.QUEUED, "default:hello"),
        (Status.QUEUED, "default:hello#1"),
        (Status.QUEUED, "default:hello#2"),
        (Status.SKIPPED, None),
    ]
    assert house.sent_at()[:3] == [2, 4, 6]


async def test_a_workflow_that_allows_it_does_so_beside_one_that_skips(house: House) -> None:
    await house.add("several", interval="2s", maxConcurrent=2)
    await house.add("one", interval="2s")
    async with ticking(house.ticker()):
        await house.wait(4)
    assert {(e.workflow_id, e.status) for e in house.occurrences() if e.skip} == {
        ("one", Status.SKIPPED)
    }


async def end(house: House, execution: Execution) -> None:
    """End an execution as a runner does; the notice of it is another matter."""
    (won,) = (await house.executions.claim([execution.id], lease(), house.clock.now())).won
    done = transitions.complete(won, house.clock.now(), timedelta(days=1))
    assert await house.executions.record([Change(won, done)]) == [RecordOutcome.APPLIED]


async def test_what_is_buffered_goes_on_in_order_as_soon_as_the_workflow_is_freed(
    house: House,
) -> None:
    await house.add("hello", interval="2s", overlap="buffer-all", maxBuffered=2)
    ticker = house.ticker(poll=60 * SECOND)
    async with ticking(ticker):
        await house.wait(8)
        first, second, third, fourth = house.occurrences()
        assert [e.status for e in (first, second, third, fourth)] == [
            Status.QUEUED,
            Status.BUFFERED,
            Status.BUFFERED,
            Status.SKIPPED,
        ]
        await end(house, first)
        ticker.hear([WorkflowFreed(TENANT, "hello")])
        await house.wait(0.5)
        promoted = await stored(house.executions, second)
        assert (promoted.status, promoted.active_key) == (Status.QUEUED, "default:hello")
        assert promoted.wake_at == NOW + 38 * SECOND
        assert differences(promoted) == []
        assert (await stored(house.executions, third)).status is Status.BUFFERED
    assert house.sent_at() == [2, 8]
    assert counted(house.registries["a"], "occurrences_buffered_total") == 2
    assert counted(house.registries["a"], "executions_promoted_total") == 1


async def test_one_that_no_notice_told_of_goes_on_when_it_wakes(house: House) -> None:
    await house.add("hello", interval="20s", overlap="buffer-one")
    async with ticking(house.ticker()):
        await house.wait(41)
        first, second = house.occurrences()
        await end(house, first)
        await house.wait(18)
        assert (await stored(house.executions, second)).status is Status.BUFFERED
        await house.wait(12)
    assert (await stored(house.executions, second)).status is Status.QUEUED
    assert second.id in house.bus.sent_ids()
    assert await house.executions.orphans() == 0


async def test_what_is_buffered_outlives_the_scheduler(house: House) -> None:
    await house.add("hello", interval="20s", overlap="buffer-one")
    async with ticking(house.ticker("a")):
        await house.wait(41)
    first, second = house.occurrences()
    await end(house, first)
    await house.wait(60)
    async with ticking(house.ticker("b")):
        await house.wait(1)
    assert (await stored(house.executions, second)).status is Status.QUEUED


async def test_two_schedulers_promote_as_one(house: House) -> None:
    await house.add("hello", interval="2s", overlap="buffer-all", maxConcurrent=2)
    tickers = [house.ticker(name, poll=60 * SECOND) for name in "ab"]
    async with ticking(*tickers):
        await house.wait(10)
        for execution in house.occurrences()[:2]:
            await end(house, execution)
        for ticker in tickers:
            ticker.share.shards = None
            ticker.hear([WorkflowFreed(TENANT, "hello")])
        await house.wait(0)
    states = [e.status for e in house.occurrences()]
    assert states.count(Status.QUEUED) == 2
    assert states == sorted(states, key=list(Status).index, reverse=True)[:2] + states[2:]


async def test_a_workflow_that_does_not_buffer_any_more_still_serves_its_buffer(
    house: House,
) -> None:
    await house.add("hello", interval="2s", overlap="buffer-all", maxBuffered=3)
    ticker = house.ticker(poll=60 * SECOND)
    async with ticking(ticker):
        await house.wait(4)
        first, second = house.occurrences()
        before = await house.workflows.get(TENANT, "hello")
        assert before is not None
        now = house.clock.now()
        plain = redefine(before, definition("hello", interval="2s"), 2, now)
        assert await house.workflows.save(before, plain)
        gone = delete(plain, now)
        assert await house.workflows.save(plain, gone)
        await end(house, first)
        ticker.hear([WorkflowFreed(TENANT, "hello"), WorkflowFreed(TENANT, "nobody")])
        await house.wait(0)
    assert (await stored(house.executions, second)).status is Status.QUEUED


async def test_each_occurrence_takes_the_place_of_the_one_before(house: House) -> None:
    await house.add("hello", interval="2s", overlap="cancel-running")
    heard = house.bus.listener()
    async with ticking(house.ticker()):
        await house.wait(3)
        (first,) = house.occurrences()
        await house.executions.claim([first.id], lease("t"), house.clock.now())
        await house.wait(3)
    assert [e.status for e in house.occurrences()] == [
        Status.CANCELLED,
        Status.CANCELLED,
        Status.QUEUED,
    ]
    assert [differences(e) for e in house.occurrences()] == [[], [], []]
    assert await heard.fetch(timedelta()) == [ExecutionCancelled(first.id, "t")]
    assert house.sent_at() == [2, 4, 6]
