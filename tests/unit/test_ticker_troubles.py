"""The heartbeat when things go wrong or grow large: outages, backlogs, several schedulers."""

import asyncio

import pytest

from scheduler_svc import ticker as ticker_module
from shared.adapters.memory.clock import settle
from shared.ports.bus import WorkflowChanged
from tests.support.builders import NOW, SECOND, TENANT, queued
from tests.unit.doubles import Faults, FaultyExecutions, counted
from tests.unit.schedulers import House, ticking

NAMES = tuple(f"w{number}" for number in range(60))


@pytest.fixture
def house() -> House:
    return House()


async def test_a_poll_that_failed_is_repeated_every_second(house: House) -> None:
    house.workflows.away = True
    async with ticking(house.ticker()):
        await house.wait(3)
        house.workflows.away = False
        await house.wait(7)
    assert house.polled_at() == [0, 1, 2, 3, 4, 9]


async def test_a_short_poll_interval_is_also_the_wait_after_a_failure(house: House) -> None:
    house.workflows.away = True
    async with ticking(house.ticker(poll=SECOND / 2)):
        await house.wait(1)
    assert house.polled_at() == [0, 0.5, 1]


async def test_what_was_due_during_an_outage_is_handled_when_it_ends(house: House) -> None:
    await house.add("hello", interval="8s")
    house.workflows.away = True
    async with ticking(house.ticker()):
        await house.wait(10)
        assert house.occurrences() == []
        house.workflows.away = False
        await house.wait(1)
    assert [e.scheduled_for for e in house.occurrences()] == [NOW + 8 * SECOND]


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("side", ["before", "after"])
async def test_what_failed_while_it_was_handled_is_handled_again(
    house: House, side: str, number: int
) -> None:
    await house.add(*NAMES[:5], interval="2s")
    await house.executions.add([queued(wake_at=NOW + 2 * SECOND)])
    faulty = FaultyExecutions(house.executions, Faults.at(side, number))
    async with ticking(house.ticker(handling=faulty)):
        await house.wait(3.5)
    assert {e.workflow_id for e in house.occurrences() if not e.skip} == set(NAMES[:5])
    assert all(e.scheduled_for == NOW + 2 * SECOND for e in house.occurrences())


async def test_an_outage_ends_neither_the_ticker_nor_its_stopping(house: House) -> None:
    house.workflows.away = True
    async with ticking(house.ticker()):
        await house.wait(1)
    assert house.polled_at() == [0, 1]


@pytest.mark.parametrize(("read_ahead", "batch"), [(1, 1), (7, 3), (7, 100), (59, 10), (60, 60)])
async def test_a_backlog_larger_than_one_reading_is_handled_whole(
    house: House, read_ahead: int, batch: int
) -> None:
    await house.add(*NAMES, interval="1s")
    await house.executions.add([queued(name, f"q{name}", wake_at=NOW) for name in NAMES])
    await house.wait(1)
    async with ticking(house.ticker(read_ahead=read_ahead, batch=batch)):
        await settle(6000)
    assert len(house.occurrences()) == 60
    assert len(set(house.bus.sent_ids())) == 120
    assert house.clock.now() == NOW + SECOND


async def test_what_one_reading_found_is_handled_before_the_next_reading(house: House) -> None:
    await house.add(*NAMES, interval="1s")
    await house.clock.advance(SECOND)
    async with ticking(house.ticker(read_ahead=20, batch=1)):
        await settle(6000)
    assert len(house.occurrences()) == 60
    assert len(house.polled_at()) == 4


async def test_more_than_one_reading_of_one_future_instant_is_handled_on_time(
    house: House,
) -> None:
    await house.add(*NAMES, interval="3s")
    async with ticking(house.ticker(read_ahead=7, batch=3)):
        await house.wait(3)
        await settle(3000)
    assert house.fired_at() == [3] * 60


async def test_a_reading_that_was_cut_short_is_continued_where_it_ended(house: House) -> None:
    for seconds in range(1, 11):
        await house.add(NAMES[seconds], interval=f"{seconds}s")
    async with ticking(house.ticker(read_ahead=3, batch=2)):
        for _ in range(10):
            await house.wait(1)
    first = {e.workflow_id: e for e in reversed(house.occurrences())}
    assert set(first) == set(NAMES[1:11])
    assert house.fired_at() == sorted(house.fired_at())


async def test_two_schedulers_split_the_work_and_do_none_of_it_twice(house: House) -> None:
    async with ticking(house.ticker("a"), house.ticker("b")):
        await house.wait(5)
        await house.add(*NAMES, interval="7s")
        await house.wait(8)
        fired = [counted(house.registries[name], "occurrences_fired_total") for name in "ab"]
    assert sum(fired) == 60
    assert min(fired) > 0
    assert len(house.bus.sent_ids()) == 60


async def test_when_one_scheduler_stops_the_other_takes_all_after_its_lease(house: House) -> None:
    survivor, stopped = house.ticker("a"), house.ticker("b")
    async with ticking(survivor):
        async with ticking(stopped):
            await house.wait(5)
        await house.add(*NAMES, interval="1h")
        await house.wait(3600)
    assert survivor.share.shards is None
    assert counted(house.registries["a"], "occurrences_fired_total") == 60
    assert set(house.fired_at()) == {3605}


async def test_when_one_scheduler_leaves_the_other_takes_all_at_its_next_poll(
    house: House,
) -> None:
    survivor, leaving = house.ticker("a"), house.ticker("b")
    async with ticking(survivor):
        async with ticking(leaving):
            await house.wait(5)
            assert survivor.share.shards is not None
        await leaving.share.leave()
        await house.wait(5)
        assert survivor.share.shards is None


async def test_a_notice_heard_during_a_poll_is_heeded(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticker, answered = house.ticker(), asyncio.Event()

    async def slow() -> int:
        await answered.wait()
        return 0

    async with ticking(ticker):
        monkeypatch.setattr(house.executions, "orphans", slow)
        await house.wait(5)
        await house.add("hello", interval="1s")
        ticker.hear([WorkflowChanged(TENANT, "hello", NOW + 6 * SECOND)])
        answered.set()
        await house.wait(3)
    assert house.fired_at() == [6, 7, 8]


async def test_an_outage_is_waited_for_also_with_a_backlog(house: House) -> None:
    await house.add(*(f"w{n}" for n in range(100)), interval="1s")
    await house.clock.advance(SECOND)
    faults = Faults(before=range(1_000_000))
    handling = FaultyExecutions(house.executions, faults)
    async with ticking(house.ticker(batch=1, handling=handling)):
        await settle(3000)
        assert faults.calls <= 2


async def test_stopping_does_not_wait_for_a_storage_that_hangs(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticker_module, "_LAST_TICK", SECOND / 50)

    async def hang() -> int:
        await asyncio.Event().wait()
        return 0

    async with ticking(house.ticker()):
        monkeypatch.setattr(house.executions, "orphans", hang)
        await house.wait(5)
        assert house.polled_at() == [0, 5]
