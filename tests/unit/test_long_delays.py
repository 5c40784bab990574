"""A delay of 90 days, in virtual time: no lease, no runner, no memory, until it is due."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final

import pytest

from shared.adapters.memory.clock import ManualClock
from shared.domain.durations import MILLISECOND
from shared.domain.execution import Status
from shared.domain.fold import differences
from shared.ports.bus import ExecutionWakes
from tests.support.builders import NOW, lease, queued
from tests.unit.bench import Bench, working
from tests.unit.schedulers import House, ticking

DAYS: Final = timedelta(days=90)
DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
REST: Final = {"id": "rest", "type": "delay", "duration": "2160h"}


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def bench(house: House) -> AsyncIterator[Bench]:
    """A runner that shares the storage and the clock of the schedulers."""
    made = Bench(clock=house.clock, executions=house.executions)
    async with working(made):
        yield made


def sleepers(clock: ManualClock) -> int:
    """Return how many tasks sleep until an instant."""
    return sum(not woken.done() for _, _, woken in clock._sleepers)


async def test_ninety_days_pass_without_a_lease_and_without_a_word(
    house: House, bench: Bench
) -> None:
    definition = bench.definition(REST, {"id": "after"})
    waiting = await bench.after(definition)
    assert (waiting.status, waiting.lease, waiting.wake_at) == (Status.WAITING, None, NOW + DAYS)
    # A poll an hour: the 1.5 million polls of 90 days with one every 5 s would show no more.
    ticker = house.ticker(poll=HOUR)
    async with ticking(ticker):
        idle = sleepers(house.clock)
        for _ in range(89):
            await house.clock.advance(DAY)
            assert (len(ticker._upcoming), len(ticker._wakes)) == (0, 0)
            assert sleepers(house.clock) == idle
        assert len(house.polled_at()) == 89 * 24 + 1
        assert house.sent_at() == []
        assert await bench.stored() == waiting
        await house.clock.advance(DAY)
        assert house.sent_at() == [DAYS.total_seconds()]
    after = await bench.after(definition)
    assert (after.status, bench.script.called) == (Status.COMPLETED, ["after"])
    assert differences(after) == []


async def test_what_a_runner_announces_of_a_long_delay_is_not_kept(
    house: House, bench: Bench
) -> None:
    await bench.after(bench.definition(REST))
    (wakes,) = bench.wakes
    assert isinstance(wakes, ExecutionWakes)
    assert wakes.wake_at == NOW + DAYS
    ticker = house.ticker()
    async with ticking(ticker):
        ticker.hear([wakes])
        assert len(ticker._wakes) == 0


async def test_no_runner_gets_it_a_millisecond_early(bench: Bench) -> None:
    waiting = await bench.after(bench.definition(REST))
    for early in (timedelta(days=89), DAY - MILLISECOND):
        await bench.clock.advance(early)
        now = bench.clock.now()
        claimed = await bench.executions.claim([waiting.id], lease(until=now + HOUR), now)
        assert len(claimed.won) == 0
    await bench.clock.advance(MILLISECOND)
    assert (await bench.after(bench.definition(REST))).status is Status.COMPLETED


async def test_ten_thousand_delays_take_no_place_in_a_schedulers_memory(house: House) -> None:
    until = NOW + DAYS
    for number in range(10_000):
        house.executions._put(
            queued(str(number), f"w{number}", status=Status.WAITING, wake_at=until)
        )
    ticker = house.ticker()
    async with ticking(ticker):
        await house.wait(20)
        assert len(ticker._wakes) == 0
    assert house.sent_at() == []
