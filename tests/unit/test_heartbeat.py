"""Beats between the polls: a scheduler that dies is noticed long before the next poll."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest

from scheduler_svc.heartbeat import MEMBER_LEASE, Heartbeat
from scheduler_svc.ticker import Ticker
from shared.adapters.memory.clock import settle
from tests.support.builders import NOW, SECOND
from tests.unit.doubles import away
from tests.unit.schedulers import House, ticking

POLL = timedelta(minutes=10)


@pytest.fixture
def house() -> House:
    return House()


@asynccontextmanager
async def beating(*tickers: Ticker) -> AsyncIterator[None]:
    hearts = [asyncio.ensure_future(Heartbeat(t.share, t, t.clock).run()) for t in tickers]
    try:
        async with ticking(*tickers):
            yield
    finally:
        for heart in hearts:
            heart.cancel()
        for heart in hearts:
            with suppress(asyncio.CancelledError):
                await heart


def ticker(house: House, name: str) -> Ticker:
    made = house.ticker(name, poll=POLL)
    made.share.lease = MEMBER_LEASE
    return made


async def test_what_a_dead_scheduler_had_is_read_as_soon_as_its_lease_is_over(
    house: House,
) -> None:
    await house.members.beat("dead", NOW, NOW + MEMBER_LEASE)
    await house.add(*(f"w{number}" for number in range(40)), interval="7s")
    alone = ticker(house, "alone")
    async with beating(alone):
        await house.wait(4)
        assert alone.share.shards is not None
        await house.wait(4)
        assert alone.share.shards is None
        assert house.polled_at() == [0, 5]
    assert len(house.occurrences()) == 40
    assert {e.created_at for e in house.occurrences()} == {NOW + 7 * SECOND}


async def test_while_nobody_comes_or_goes_nothing_is_polled_but_by_the_clock(
    house: House,
) -> None:
    async with beating(ticker(house, "alone")):
        await house.wait(30)
    assert house.polled_at() == [0]


async def test_a_storage_that_is_away_does_not_end_the_beating(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = ticker(house, "alone")
    beat = alone.share.members.beat
    async with beating(alone):

        async def refuse(*_: object) -> frozenset[str]:
            raise away()

        monkeypatch.setattr(alone.share.members, "beat", refuse)
        await house.wait(10)
        monkeypatch.setattr(alone.share.members, "beat", beat)
        await house.wait(2)
        await settle()
        assert await house.members.beat("other", house.clock.now(), NOW) == {"alone"}
