"""The clock of the services: it follows the database's time, and wakes up when it should."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from shared.adapters.mongo.connection import MongoConnection
from shared.adapters.system import clock as clock_module
from shared.adapters.system.clock import SystemClock
from shared.domain.errors import Unavailable
from tests.support.waiting import eventually

MILLISECOND: Final = timedelta(milliseconds=1)
HOUR: Final = timedelta(hours=1)
CLOSE: Final = 10 * MILLISECOND
"""What one good look at a real server's clock achieves, also on a busy machine."""

_SECOND: Final = 1_000_000_000
_LOOK: Final = 20_000
"""Nanoseconds that a look at the simulated clock takes."""


class Simulated:
    """The machine's time, which passes when somebody looks at it or sleeps."""

    def __init__(self) -> None:
        self._nanoseconds = 5 * _SECOND

    def monotonic_ns(self) -> int:
        self._nanoseconds += _LOOK
        return self._nanoseconds

    def time_ns(self) -> int:
        return 1_790_000_000 * _SECOND + self.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        self._nanoseconds += round(seconds * _SECOND)


class OtherClock:
    """A clock that is off by some time and answers late: before or after it looks at itself."""

    def __init__(self, machine: Simulated, ahead: timedelta = timedelta()) -> None:
        self.machine = machine
        self.ahead = ahead
        self.delays: list[tuple[float, float]] = []
        self.asked = 0

    def time(self) -> datetime:
        """Return its time, cut to whole milliseconds."""
        milliseconds = self.machine.time_ns() // 1_000_000
        return datetime.fromtimestamp(milliseconds / 1000, UTC) + self.ahead

    async def __call__(self) -> datetime:
        self.asked += 1
        before, after = self.delays.pop(0) if self.delays else (0.0, 0.0)
        await self.machine.sleep(before)
        told = self.time()
        await self.machine.sleep(after)
        return told


def apart(clock: SystemClock, other: OtherClock) -> timedelta:
    """Return how far two clocks are apart."""
    return abs(clock.now() - other.time())


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Simulated:
    """The time of the machine that the clocks made from now on run on."""
    made = Simulated()
    monkeypatch.setattr(clock_module, "time", made)
    monkeypatch.setattr(clock_module, "asyncio", made)
    return made


@pytest.fixture
def system() -> SystemClock:
    """The clock in real time."""
    return SystemClock()


@pytest.fixture
def simulated(machine: Simulated) -> SystemClock:
    """The clock in simulated time."""
    return SystemClock()


async def in_an_hour() -> datetime:
    """Return the time of a clock that is an hour ahead, in real time."""
    return datetime.now(UTC) + HOUR


def test_without_another_clock_it_is_the_machines(
    machine: Simulated, simulated: SystemClock
) -> None:
    assert apart(simulated, OtherClock(machine)) <= MILLISECOND


def test_instants_are_aware_and_in_whole_milliseconds_and_never_go_back(
    system: SystemClock,
) -> None:
    instants = [system.now() for _ in range(1000)]
    assert instants == sorted(instants)
    assert {now.tzinfo for now in instants} == {UTC}
    assert {now.microsecond % 1000 for now in instants} == {0}


@pytest.mark.parametrize("ahead", [HOUR, -HOUR, 3 * MILLISECOND, timedelta()], ids=str)
async def test_it_adopts_the_other_clocks_time(
    machine: Simulated, simulated: SystemClock, ahead: timedelta
) -> None:
    other = OtherClock(machine, ahead)
    difference = await simulated.follow(other)
    assert abs(difference - ahead) <= MILLISECOND
    assert apart(simulated, other) <= MILLISECOND
    assert abs(await simulated.follow(other)) <= MILLISECOND


async def test_it_asks_as_often_as_it_is_told(machine: Simulated, simulated: SystemClock) -> None:
    other = OtherClock(machine)
    await simulated.follow(other)
    assert other.asked == 5
    await simulated.follow(other, samples=1)
    assert other.asked == 6


async def test_one_quick_reply_among_slow_ones_is_enough(
    machine: Simulated, simulated: SystemClock
) -> None:
    other = OtherClock(machine, HOUR)
    other.delays = [(0, 0.1), (0, 0.1), (0, 0), (0.02, 0.05), (0, 0.1)]
    await simulated.follow(other)
    assert apart(simulated, other) <= MILLISECOND


async def test_slow_replies_bound_the_time_from_both_sides(
    machine: Simulated, simulated: SystemClock
) -> None:
    """One reply is late on its way there, another on its way back: together they are exact."""
    other = OtherClock(machine, HOUR)
    other.delays = [(0.1, 0), (0, 0.1)]
    await simulated.follow(other, samples=2)
    assert apart(simulated, other) <= MILLISECOND


async def test_a_slow_reply_is_off_by_half_of_its_way_at_most(
    machine: Simulated, simulated: SystemClock
) -> None:
    other = OtherClock(machine, HOUR)
    other.delays = [(0, 0.1)]
    await simulated.follow(other, samples=1)
    assert abs(apart(simulated, other) - 50 * MILLISECOND) <= MILLISECOND


async def test_a_step_of_the_other_clock_between_replies_is_survived(
    machine: Simulated, simulated: SystemClock
) -> None:
    other = OtherClock(machine)
    other.delays = [(0.02, 0.02), (0.02, 0.02), (0, 0)]
    asked = 0

    async def stepping() -> datetime:
        nonlocal asked
        asked += 1
        if asked == 3:
            other.ahead = HOUR
        return await other()

    await simulated.follow(stepping, samples=3)
    assert apart(simulated, other) <= MILLISECOND


async def test_a_clock_that_does_not_answer_changes_nothing(
    machine: Simulated, simulated: SystemClock
) -> None:
    async def away() -> datetime:
        raise Unavailable("MongoDB", "away")

    other = OtherClock(machine, HOUR)
    await simulated.follow(other)
    with pytest.raises(Unavailable):
        await simulated.follow(away)
    assert apart(simulated, other) <= MILLISECOND


async def test_sleep_ends_at_the_other_clocks_instant(
    machine: Simulated, simulated: SystemClock
) -> None:
    other = OtherClock(machine, HOUR)
    await simulated.follow(other)
    began = machine.monotonic_ns()
    await simulated.sleep_until(other.time() + 50 * MILLISECOND)
    assert 48_000_000 <= machine.monotonic_ns() - began <= 52_000_000


async def test_it_follows_the_database(mongo: MongoConnection, system: SystemClock) -> None:
    await system.follow(in_an_hour)
    corrected = await system.follow(mongo.server_time)
    assert abs(corrected + HOUR) < HOUR / 60

    async def follows() -> bool:
        """A busy machine may take its time for one look, but not for each."""
        return abs(await system.follow(mongo.server_time)) <= CLOSE

    await eventually(follows)
    asked = system.now()
    told = await mongo.server_time()
    assert asked - CLOSE <= told <= system.now() + CLOSE


async def test_all_that_follow_the_database_agree(mongo: MongoConnection) -> None:
    clocks = [SystemClock() for _ in range(5)]
    for clock in clocks[1:]:
        await clock.follow(in_an_hour)

    async def farthest() -> timedelta:
        await asyncio.gather(*(clock.follow(mongo.server_time) for clock in clocks))
        read = [clock.now() for clock in clocks]
        return max(read) - min(read)

    await eventually(farthest, lambda apart: apart <= CLOSE)


async def test_the_database_tells_whole_milliseconds_in_utc(mongo: MongoConnection) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    told = await mongo.server_time()
    assert told.utcoffset() == timedelta()
    assert told.microsecond % 1000 == 0
    assert before < told < datetime.now(UTC) + timedelta(seconds=5)


@pytest.mark.parametrize("milliseconds", [1, 7, 50, 200])
async def test_a_sleeper_never_wakes_before_its_instant_and_soon_after_it(
    system: SystemClock, milliseconds: int
) -> None:
    async def late() -> timedelta:
        instant = system.now() + milliseconds * MILLISECOND
        await system.sleep_until(instant)
        woke = system.now()
        assert woke >= instant
        return woke - instant

    # One that slept on would never be in time; a busy machine is late now and then.
    await eventually(late, lambda by: by <= 5 * MILLISECOND)


async def test_an_instant_that_has_passed_is_not_waited_for(system: SystemClock) -> None:
    for behind in (timedelta(), MILLISECOND, HOUR):
        asleep = asyncio.ensure_future(system.sleep_until(system.now() - behind))
        await asyncio.sleep(0)
        assert asleep.done()


async def test_a_clock_set_back_during_a_sleep_wakes_nobody_early(system: SystemClock) -> None:
    async def behind() -> datetime:
        return datetime.now(UTC) - 100 * MILLISECOND

    instant = system.now() + 60 * MILLISECOND
    sleeping = asyncio.create_task(system.sleep_until(instant))
    await asyncio.sleep(0)
    await system.follow(behind)
    await sleeping
    assert system.now() >= instant


async def test_a_sleeper_can_be_cancelled(system: SystemClock) -> None:
    sleeping = asyncio.create_task(system.sleep_until(system.now() + HOUR))
    await asyncio.sleep(0)
    sleeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeping
