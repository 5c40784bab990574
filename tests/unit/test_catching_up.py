"""Catching up with what passed while no scheduler was there, by the clock of a real ticker."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.adapters.memory.executions import MemoryExecutions
from shared.domain import transitions
from shared.domain.due import DueWorkflow
from shared.domain.execution import Skip, SkipReason, Status
from shared.ports.workflows import Upcoming
from tests.support.builders import NOW, SECOND, TENANT, queued, workflow
from tests.unit.doubles import counted
from tests.unit.schedulers import House, PolledWorkflows, ticking


class Looks(PolledWorkflows):
    """Counts how often the scheduler looks at what is due."""

    def __init__(self, house: House) -> None:
        super().__init__(house.clock)
        self.looks: list[datetime] = []

    async def read_due(self, keys: Collection[str]) -> list[DueWorkflow]:
        self.looks.append(self.clock.now())
        return await super().read_due(keys)


@pytest.fixture
def house() -> House:
    house = House()
    house.workflows = Looks(house)
    return house


async def _add(house: House, interval: str = "10s", **trigger: Any) -> None:
    periodic = {"type": "periodic", "interval": interval, **trigger}
    await house.workflows.add(workflow("hello", trigger=periodic))


def _finish(house: House) -> None:
    """Let what runs come to its end."""
    executions: MemoryExecutions = house.executions
    for execution in list(executions._by_id.values()):
        if execution.active_key:
            ended = execution.evolve(status=Status.COMPLETED, active_key=None, wake_at=None)
            executions._put(ended)


async def _run(house: House, seconds: int, takes: int) -> None:
    """Let schedulers work, and every execution end some seconds after it could begin."""
    for second in range(1, seconds + 1):
        await house.wait(1)
        if second % takes == 0:
            _finish(house)


def _fired(house: House) -> list[float]:
    fired = [e.scheduled_for for e in house.occurrences() if not e.skip and e.scheduled_for]
    return [(at - NOW).total_seconds() for at in fired]


def _skips(house: House) -> list[Skip]:
    return [e.skip for e in house.occurrences() if e.skip]


def _skipped(reason: SkipReason, first: float, last: float, count: int) -> Skip:
    seconds = (NOW + timedelta(seconds=first), NOW + timedelta(seconds=last))
    return Skip(reason, *seconds, count)


async def test_all_that_passed_fires_one_after_the_other_the_oldest_first(house: House) -> None:
    await _add(house, catchUp="all")
    await house.wait(57)
    async with ticking(house.ticker()):
        await _run(house, 40, takes=3)
    assert _fired(house) == [10, 20, 30, 40, 50, 60, 70, 80, 90]
    assert _skips(house) == []


async def test_what_waits_for_its_turn_is_looked_at_about_every_second(house: House) -> None:
    await _add(house, catchUp="all")
    await house.wait(57)
    async with ticking(house.ticker("a"), house.ticker("b")):
        await _run(house, 60, takes=1000)
    looks = house.workflows.looks  # type: ignore[attr-defined]
    assert _fired(house) == [10]
    assert 60 <= len(looks) < 200
    assert counted(house.registries["a"], "occurrences_fired_total") <= 1


async def test_an_instant_that_waits_lapses_when_its_window_ends(house: House) -> None:
    await _add(house, catchUp="all", catchUpWindow="30s")
    await house.wait(35)
    async with ticking(house.ticker()):
        await _run(house, 17, takes=1000)
        _finish(house)
        await _run(house, 3, takes=1)
    assert _fired(house) == [10, 30, 40, 50]
    assert _skips(house) == [_skipped(SkipReason.WINDOW, 20, 20, 1)]


async def test_of_more_than_a_hundred_the_oldest_lapse(house: House) -> None:
    await _add(house, catchUp="all", endAt="2026-01-01T00:25:00Z")
    await house.wait(1500)
    async with ticking(house.ticker()):
        await _run(house, 110, takes=1)
    assert _fired(house) == list(range(510, 1501, 10))
    assert _skips(house) == [_skipped(SkipReason.WINDOW, 10, 500, 50)]
    assert counted(house.registries["a"], "occurrences_skipped_total", reason="window") == 50


async def test_on_time_an_unfinished_execution_is_an_overlap_however_it_catches_up(
    house: House,
) -> None:
    await _add(house, catchUp="all")
    async with ticking(house.ticker()):
        await house.wait(25)
        _finish(house)
        await house.wait(10)
    assert _fired(house) == [10, 30]
    assert _skips(house) == [_skipped(SkipReason.OVERLAP, 20, 20, 1)]


async def test_the_last_that_passed_waits_too_though_it_is_hardly_late(house: House) -> None:
    await _add(house, "1h", catchUp="all")
    await house.wait(7201)
    async with ticking(house.ticker()):
        await _run(house, 40, takes=20)
    assert _fired(house) == [3600, 7200]
    assert _skips(house) == []


async def test_hardly_late_it_does_not_wait_for_what_somebody_started_by_hand(
    house: House,
) -> None:
    await _add(house, "1h", catchUp="all")
    await house.executions.add([queued(wake_at=NOW + timedelta(days=1))])
    await house.wait(3601)
    async with ticking(house.ticker()):
        await house.wait(5)
    assert _skips(house) == [_skipped(SkipReason.OVERLAP, 3600, 3600, 1)]


@pytest.mark.parametrize("by_hand", [0, 1])
async def test_it_waits_for_one_that_came_late_whichever_slot_that_has(
    house: House, by_hand: int
) -> None:
    trigger = {"type": "periodic", "interval": "1h", "catchUp": "all"}
    await house.workflows.add(workflow("hello", trigger=trigger, maxConcurrent=2))
    started = queued(wake_at=NOW + timedelta(days=1))
    await house.executions.add([transitions.take_slot(started, by_hand)])
    await house.wait(7201)
    async with ticking(house.ticker()):
        await house.wait(5)
        assert (_fired(house), _skips(house)) == ([3600], [])
        _finish(house)
        await house.wait(5)
    assert (_fired(house), _skips(house)) == ([3600, 7200], [])


async def test_none_of_what_is_later_than_a_minute_fires(house: House) -> None:
    await _add(house, "1h", catchUp="none")
    await house.wait(3 * 3600 + 61)
    async with ticking(house.ticker()):
        await house.wait(3600)
    assert _fired(house) == [4 * 3600]
    assert _skips(house) == [_skipped(SkipReason.WINDOW, 3600, 3 * 3600, 3)]


async def test_a_scheduler_that_was_away_for_a_lease_costs_no_instant(house: House) -> None:
    await _add(house, "1h", catchUp="none")
    await house.wait(3660)
    async with ticking(house.ticker()):
        await house.wait(1)
    assert (_fired(house), _skips(house)) == ([3600], [])


async def test_the_latest_fires_only_within_its_window(house: House) -> None:
    await _add(house, "1h", catchUpWindow="30m")
    await house.wait(2 * 3600 + 1801)
    async with ticking(house.ticker()):
        await house.wait(2 * 3600)
    assert _fired(house) == [3 * 3600]
    assert [s.reason for s in _skips(house)] == [SkipReason.WINDOW, SkipReason.OVERLAP]


async def test_a_look_says_when_to_look_again_and_leaves_the_instant_where_it_is(
    house: House,
) -> None:
    await _add(house, catchUp="all")
    await house.executions.add([queued(wake_at=NOW + timedelta(days=1))])
    await house.clock.advance(timedelta(seconds=47, milliseconds=300))
    fire = house.ticker().fire
    (following,) = await fire([Upcoming(TENANT, "hello", NOW)])
    assert following.next_run_at == NOW + 48 * SECOND
    stored = await house.workflows.get(TENANT, "hello")
    assert stored is not None
    assert stored.next_run_at == NOW + 10 * SECOND
    assert house.occurrences() == []
