"""The clock of the services: it follows the database's time, and wakes up when it should."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from shared.adapters.mongo.connection import MongoConnection
from shared.adapters.system.clock import SystemClock
from shared.domain.errors import Unavailable

MILLISECOND: Final = timedelta(milliseconds=1)
HOUR: Final = timedelta(hours=1)
CLOSE: Final = 10 * MILLISECOND
"""Far below the delays here, and more than a busy machine adds."""


class OtherClock:
    """A clock that is off by some time and answers late: before or after it looks at itself."""

    def __init__(self, ahead: timedelta = timedelta()) -> None:
        self.ahead = ahead
        self.delays: list[tuple[float, float]] = []
        self.asked = 0

    def time(self) -> datetime:
        """Return its time, cut to whole milliseconds."""
        now = datetime.now(UTC) + self.ahead
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    async def __call__(self) -> datetime:
        self.asked += 1
        before, after = self.delays.pop(0) if self.delays else (0.0, 0.0)
        await asyncio.sleep(before)
        told = self.time()
        await asyncio.sleep(after)
        return told


def apart(clock: SystemClock, other: OtherClock) -> timedelta:
    """Return how far two clocks are apart, in the best of several looks on a busy machine."""
    return min(abs(clock.now() - other.time()) for _ in range(5))


@pytest.fixture
def system() -> SystemClock:
    return SystemClock()


def test_without_another_clock_it_is_the_machines(system: SystemClock) -> None:
    before = datetime.now(UTC) - MILLISECOND
    now = system.now()
    assert before <= now <= datetime.now(UTC)


def test_instants_are_aware_and_in_whole_milliseconds_and_never_go_back(
    system: SystemClock,
) -> None:
    instants = [system.now() for _ in range(1000)]
    assert instants == sorted(instants)
    assert {now.tzinfo for now in instants} == {UTC}
    assert {now.microsecond % 1000 for now in instants} == {0}


@pytest.mark.parametrize("ahead", [HOUR, -HOUR, 3 * MILLISECOND, timedelta()], ids=str)
async def test_it_adopts_the_other_clocks_time(system: SystemClock, ahead: timedelta) -> None:
    other = OtherClock(ahead)
    difference = await system.follow(other)
    assert abs(difference - ahead) <= 2 * MILLISECOND
    assert apart(system, other) <= 2 * MILLISECOND
    assert abs(await system.follow(other)) <= 2 * MILLISECOND


async def test_it_asks_as_often_as_it_is_told(system: SystemClock) -> None:
    other = OtherClock()
    await system.follow(other)
    assert other.asked == 5
    await system.follow(other, samples=1)
    assert other.asked == 6


async def test_one_quick_reply_among_slow_ones_is_enough(system: SystemClock) -> None:
    other = OtherClock(HOUR)
    other.delays = [(0, 0.1), (0.1, 0), (0, 0), (0.05, 0.02), (0, 0.1)]
    await system.follow(other)
    assert apart(system, other) <= CLOSE


async def test_slow_replies_bound_the_time_from_both_sides(system: SystemClock) -> None:
    """One reply is late on its way there, another on its way back: together they are exact."""
    other = OtherClock(HOUR)
    other.delays = [(0.1, 0), (0, 0.1)]
    await system.follow(other, samples=2)
    assert apart(system, other) <= CLOSE


async def test_a_slow_reply_is_off_by_half_of_its_way_at_most(system: SystemClock) -> None:
    other = OtherClock(HOUR)
    other.delays = [(0, 0.1)]
    await system.follow(other, samples=1)
    assert abs(apart(system, other) - 50 * MILLISECOND) <= 2 * CLOSE


async def test_a_step_of_the_other_clock_between_replies_is_survived(system: SystemClock) -> None:
    other = OtherClock()
    other.delays = [(0.02, 0.02), (0.02, 0.02), (0, 0)]
    asked = 0

    async def stepping() -> datetime:
        nonlocal asked
        asked += 1
        if asked == 3:
            other.ahead = HOUR
        return await other()

    await system.follow(stepping, samples=3)
    assert apart(system, other) <= CLOSE


async def test_a_clock_that_does_not_answer_changes_nothing(system: SystemClock) -> None:
    async def away() -> datetime:
        raise Unavailable("MongoDB", "away")

    await system.follow(OtherClock(HOUR))
    with pytest.raises(Unavailable):
        await system.follow(away)
    assert apart(system, OtherClock(HOUR)) <= CLOSE


async def test_it_follows_the_database(mongo: MongoConnection, system: SystemClock) -> None:
    await system.follow(OtherClock(HOUR))
    corrected = await system.follow(mongo.server_time)
    assert abs(corrected + HOUR) <= CLOSE
    asked = system.now()
    told = await mongo.server_time()
    assert asked - CLOSE <= told <= system.now() + CLOSE


async def test_all_that_follow_the_database_agree(mongo: MongoConnection) -> None:
    clocks = [SystemClock() for _ in range(5)]
    for number, clock in enumerate(clocks):
        await clock.follow(OtherClock(number * HOUR))
    await asyncio.gather(*(clock.follow(mongo.server_time) for clock in clocks))
    read = [clock.now() for clock in clocks]
    assert max(read) - min(read) <= CLOSE


async def test_the_database_tells_whole_milliseconds_in_utc(mongo: MongoConnection) -> None:
    told = await mongo.server_time()
    assert told.utcoffset() == timedelta()
    assert told.microsecond % 1000 == 0
    assert abs(told - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.mark.parametrize("milliseconds", [1, 7, 50, 200])
async def test_a_sleeper_never_wakes_before_its_instant_and_soon_after_it(
    system: SystemClock, milliseconds: int
) -> None:
    late = []
    for _ in range(5):
        instant = system.now() + milliseconds * MILLISECOND
        await system.sleep_until(instant)
        woke = system.now()
        assert woke >= instant
        late.append(woke - instant)
    assert min(late) <= 5 * MILLISECOND


async def test_an_instant_that_has_passed_is_not_waited_for(system: SystemClock) -> None:
    began = time.monotonic()
    for behind in (timedelta(), MILLISECOND, HOUR):
        await system.sleep_until(system.now() - behind)
    assert time.monotonic() - began < 0.5


async def test_sleep_ends_at_the_other_clocks_instant(system: SystemClock) -> None:
    other = OtherClock(HOUR)
    await system.follow(other)
    instant = other.time() + 50 * MILLISECOND
    began = time.monotonic()
    await system.sleep_until(instant)
    assert 0.04 <= time.monotonic() - began < 5


async def test_a_clock_set_back_during_a_sleep_wakes_nobody_early(system: SystemClock) -> None:
    instant = system.now() + 60 * MILLISECOND
    sleeping = asyncio.create_task(system.sleep_until(instant))
    await asyncio.sleep(0)
    await system.follow(OtherClock(-100 * MILLISECOND))
    await sleeping
    assert system.now() >= instant


async def test_a_sleeper_can_be_cancelled(system: SystemClock) -> None:
    sleeping = asyncio.create_task(system.sleep_until(system.now() + HOUR))
    await asyncio.sleep(0)
    sleeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeping
