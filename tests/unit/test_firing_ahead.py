"""Occurrences that are made ready before their instant, so that many can begin at it."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.domain import transitions
from shared.domain.execution import Execution, SkipReason, Status
from shared.domain.outcomes import Timing
from shared.ports.executions import Change
from shared.ports.workflows import Upcoming
from tests.support.builders import NOW, SECOND, TENANT, lease, queued, workflow
from tests.unit.doubles import counted
from tests.unit.schedulers import House, ticking

LEAD = SECOND


@pytest.fixture
def house() -> House:
    return House()


def made(house: House) -> list[tuple[float, float]]:
    """Return for each occurrence its instant, and when it was recorded."""
    return [
        ((e.scheduled_for - NOW).total_seconds(), (e.created_at - NOW).total_seconds())
        for e in house.occurrences()
        if e.scheduled_for
    ]


async def end(house: House, execution: Execution, at: datetime) -> None:
    claim = await house.executions.claim([execution.id], lease(until=at + 60 * SECOND), at)
    (won,) = claim.won
    done = transitions.complete(won, at, Timing().retention)
    await house.executions.record([Change(won, done)])


async def test_an_occurrence_is_queued_and_announced_ahead_of_its_instant(house: House) -> None:
    await house.add("hello", interval="7s")
    async with ticking(house.ticker(lead=LEAD)):
        await house.wait(6)
        assert made(house) == [(7, 6)]
        assert house.sent_at() == [6]
        found = await house.workflows.get(TENANT, "hello")
        assert found is not None
        assert found.next_run_at == NOW + 14 * SECOND


async def test_the_time_ahead_of_the_instant_does_not_count_against_the_timeout(
    house: House,
) -> None:
    await house.add("hello", interval="7s", timeout="1s")
    async with ticking(house.ticker(lead=LEAD)):
        await house.wait(6)
    (ahead,) = house.occurrences()
    assert ahead.deadline == NOW + 8 * SECOND


async def test_an_instant_just_behind_the_next_poll_is_queued_ahead_as_well(house: House) -> None:
    await house.add("hello", interval="6s")
    async with ticking(house.ticker(lead=1.5 * SECOND)):
        await house.wait(5)
    assert made(house) == [(6, 4.5)]


async def test_what_is_not_free_ahead_of_the_instant_is_asked_again_at_it(house: House) -> None:
    held = queued("1", now=NOW)
    await house.executions.add([held])
    await house.add("hello", interval="7s")
    async with ticking(house.ticker(lead=LEAD)):
        await house.wait(6.5)
        assert house.occurrences() == []
        await end(house, held, house.clock.now())
        await house.wait(0.5)
    assert made(house) == [(7, 7)]
    assert [e.status for e in house.occurrences()] == [Status.QUEUED]


async def test_what_is_still_not_free_at_the_instant_is_skipped(house: House) -> None:
    await house.executions.add([queued("1", now=NOW, wake_at=NOW + 60 * SECOND)])
    await house.add("hello", interval="7s")
    async with ticking(house.ticker(lead=LEAD)):
        await house.wait(6.9)
        assert house.occurrences() == []
        await house.wait(0.1)
    (skipped,) = house.occurrences()
    assert skipped.skip is not None
    assert (skipped.skip.reason, skipped.created_at) == (SkipReason.OVERLAP, NOW + 7 * SECOND)


async def test_an_interval_shorter_than_the_lead_fires_at_each_of_its_instants(
    house: House,
) -> None:
    await house.add("hello", interval="1s")
    async with ticking(house.ticker(lead=2 * SECOND)):
        for _ in range(8):
            await house.wait(1)
            for execution in house.occurrences():
                if execution.status is Status.QUEUED:
                    await end(house, execution, house.clock.now())
    instants = [instant for instant, _ in made(house)]
    assert instants == list(range(1, 9))
    assert all(at <= instant for instant, at in made(house))


@pytest.mark.parametrize(
    "members",
    [{"overlap": "buffer-one"}, {"overlap": "cancel-running"}, {"pauseOnFailure": 2}],
    ids=str,
)
async def test_what_depends_on_how_others_end_is_decided_at_the_instant(
    house: House, members: dict[str, Any]
) -> None:
    await house.workflows.add(workflow("hello", interval="7s", **members))
    async with ticking(house.ticker(lead=LEAD)):
        await house.wait(6.9)
        assert house.occurrences() == []
        await house.wait(0.1)
    assert made(house) == [(7, 7)]


async def test_firing_ahead_is_never_counted_as_less_than_on_time(house: House) -> None:
    await house.add("hello", interval="7s")
    async with ticking(house.ticker(lead=LEAD)):
        await house.wait(7)
    assert counted(house.registries["a"], "fire_lateness_seconds_sum") == 0
    assert counted(house.registries["a"], "fire_lateness_seconds_count") == 1


async def test_only_the_instant_at_hand_is_fired_ahead_and_not_the_next(house: House) -> None:
    ticker = house.ticker(lead=2 * SECOND)
    await house.workflows.add(workflow("hello", interval="1s"))
    first, second = NOW + SECOND, NOW + 2 * SECOND
    assert await ticker.fire([Upcoming(TENANT, "hello", first)]) == [
        Upcoming(TENANT, "hello", second)
    ]
    assert made(house) == [(1, 0)]


async def test_after_downtime_what_passed_is_missed_and_the_next_is_not_touched(
    house: House,
) -> None:
    await house.add("hello", interval="10s")
    await house.clock.advance(timedelta(seconds=29.5))
    async with ticking(house.ticker(lead=LEAD)):
        await house.wait(0)
        kept = [(e.status, e.scheduled_for) for e in house.occurrences()]
    assert sorted(kept) == [
        (Status.QUEUED, NOW + 20 * SECOND),
        (Status.SKIPPED, NOW + 10 * SECOND),
    ]
