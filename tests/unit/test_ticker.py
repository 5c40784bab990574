"""The heartbeat of one scheduler: polls, items at their own instants, and notices."""

import asyncio
from datetime import timedelta

import pytest

from scheduler_svc.ticker import NoticeListener
from shared.adapters.memory.clock import settle
from shared.ports.bus import ExecutionCancelled, ExecutionWakes, Notice, WorkflowChanged
from tests.support.builders import NOW, SECOND, TENANT, queued, workflow
from tests.unit.doubles import counted
from tests.unit.schedulers import House, ticking


@pytest.fixture
def house() -> House:
    return House()


async def test_it_polls_at_once_and_then_every_interval(house: House) -> None:
    async with ticking(house.ticker()):
        await house.wait(20)
    assert house.polled_at() == [0, 5, 10, 15, 20]


async def test_a_workflow_fires_at_its_own_instant_between_polls(house: House) -> None:
    await house.add("hello", interval="7s")
    async with ticking(house.ticker()):
        await house.wait(30)
    assert house.fired_at() == [7, 14, 21, 28]
    assert house.polled_at() == [0, 5, 10, 15, 20, 25, 30]


async def test_an_interval_shorter_than_the_poll_is_kept(house: House) -> None:
    await house.add("hello", interval="1s")
    async with ticking(house.ticker()):
        await house.wait(12)
    assert house.fired_at() == list(range(1, 13))
    assert house.polled_at() == [0, 5, 10]


async def test_an_execution_is_announced_at_its_own_instant_between_polls(house: House) -> None:
    await house.executions.add([queued(wake_at=NOW + timedelta(milliseconds=2345))])
    async with ticking(house.ticker()):
        await house.wait(6)
    assert house.sent_at() == [2.345]


async def test_what_was_overdue_at_the_start_is_handled_at_once(house: House) -> None:
    await house.add("hello", interval="7s")
    await house.executions.add([queued("1", "other", wake_at=NOW)])
    await house.wait(9)
    async with ticking(house.ticker()):
        assert [(e.created_at - NOW).total_seconds() for e in house.occurrences()] == [9]
        assert house.sent_at() == [9, 9]


async def test_a_notice_of_a_new_workflow_is_heeded_before_the_next_poll(house: House) -> None:
    ticker = house.ticker()
    async with ticking(ticker):
        await house.wait(1)
        await house.add("hello", interval="2s")
        ticker.hear([WorkflowChanged(TENANT, "hello", NOW + 3 * SECOND)])
        await house.wait(3)
    assert house.fired_at() == [3]
    assert house.polled_at() == [0]


async def test_a_notice_of_a_retry_is_heeded_before_the_next_poll(house: House) -> None:
    ticker = house.ticker()
    async with ticking(ticker):
        await house.wait(1)
        execution = queued(wake_at=NOW + 2 * SECOND)
        await house.executions.add([execution])
        ticker.hear([ExecutionWakes(execution.id, TENANT, "hello", NOW + 2 * SECOND)])
        await house.wait(2)
    assert house.sent_at() == [2]


async def test_a_notice_heard_twice_or_besides_a_poll_doubles_nothing(house: House) -> None:
    await house.add("hello", interval="3s")
    ticker = house.ticker()
    async with ticking(ticker):
        ticker.hear([WorkflowChanged(TENANT, "hello", NOW + 3 * SECOND)] * 2)
        await house.wait(4)
    assert house.fired_at() == [3]
    assert len(house.sent_at()) == 1


@pytest.mark.parametrize(
    "notice",
    [
        WorkflowChanged(TENANT, "hello", NOW + 6 * SECOND),
        ExecutionWakes("x", TENANT, "hello", NOW + 6 * SECOND),
        ExecutionCancelled("x"),
    ],
)
async def test_what_the_next_poll_will_find_is_not_kept(house: House, notice: Notice) -> None:
    ticker = house.ticker()
    async with ticking(ticker):
        ticker.hear([notice])
        assert (len(ticker._upcoming), len(ticker._wakes)) == (0, 0)


async def test_a_notice_of_something_that_is_not_there_is_harmless(house: House) -> None:
    ticker = house.ticker()
    async with ticking(ticker):
        ticker.hear(
            [
                WorkflowChanged(TENANT, "unknown", NOW + SECOND),
                ExecutionWakes("unknown", TENANT, "unknown", NOW + SECOND),
            ]
        )
        await house.wait(6)
    assert (house.fired_at(), house.sent_at(), house.polled_at()) == ([], [], [0, 5])


async def test_a_notice_of_another_schedulers_shard_is_ignored(house: House) -> None:
    await house.members.beat("other", NOW, NOW + 60 * SECOND)
    names = [f"w{number}" for number in range(40)]
    ticker = house.ticker()
    async with ticking(ticker):
        await house.add(*names, interval="2s")
        at = NOW + 2 * SECOND
        ticker.hear([WorkflowChanged(TENANT, name, at) for name in names])
        ticker.hear([ExecutionWakes(name, TENANT, name, at) for name in names])
        mine = {name for name in names if ticker.share.is_mine(workflow(name).shard)}
        assert len(ticker._wakes) == len(mine)
        await house.wait(2)
    assert {e.workflow_id for e in house.occurrences()} == mine
    assert 0 < len(mine) < len(names)


async def test_what_is_announced_on_the_bus_reaches_the_ticker(house: House) -> None:
    ticker = house.ticker()
    listener = NoticeListener(house.bus.listener(), ticker)
    async with ticking(ticker):
        listening = asyncio.ensure_future(listener.run())
        await house.add("hello", interval="2s")
        await house.bus.announce([WorkflowChanged(TENANT, "hello", NOW + 2 * SECOND)])
        await settle()
        await house.wait(2)
        listening.cancel()
    assert house.fired_at() == [2]


async def test_the_age_of_the_oldest_that_is_due_is_told_at_each_poll(house: House) -> None:
    await house.add("hello", interval="3s")
    await house.wait(10)
    async with ticking(house.ticker()):
        assert counted(house.registries["a"], "due_backlog_seconds") == 7
        await house.wait(5)
        assert counted(house.registries["a"], "due_backlog_seconds") == 0


async def test_orphans_and_what_is_due_are_counted_at_each_poll(house: House) -> None:
    await house.add("hello", interval="3s")
    house.executions._put(queued("1", "other", wake_at=None))
    async with ticking(house.ticker()):
        assert counted(house.registries["a"], "orphans") == 1
        assert counted(house.registries["a"], "due_read") == 1
        assert counted(house.registries["a"], "poll_seconds_count") == 1
