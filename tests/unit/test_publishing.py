"""Recording publishes: nothing is recorded that no word covers, and nothing is forgotten."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import pytest

from shared.adapters.memory.clock import ManualClock, settle
from shared.domain import transitions
from shared.domain.errors import Unavailable
from shared.domain.execution import Execution
from shared.ports.executions import Change
from shared.runtime.event_ledger import LAG, SETTLING
from shared.runtime.event_word import WORD
from tests.support.builders import NOW, SECOND, lease, queued
from tests.unit.doubles import Faults, counted
from tests.unit.journals import RETENTION, Writer, writer

FIRST = queued("1", "a").id
SECOND_ONE = queued("2", "b").id


async def ended(made: Writer, execution: Execution) -> None:
    """Add, claim and complete an execution."""
    await made.executions.add([execution])
    (claimed,) = (await made.executions.claim([execution.id], lease(), made.clock.now())).won
    now = made.clock.now()
    await made.executions.record([Change(claimed, transitions.complete(claimed, now, RETENTION))])


async def test_each_step_of_a_life_is_told_once(clock: ManualClock) -> None:
    made = writer(clock)
    await ended(made, queued("1", "a"))
    await made.journal.flush()
    assert made.bus.told == [f"{FIRST}:1", f"{FIRST}:2", f"{FIRST}:3"]
    assert [event["data"]["status"] for event in made.bus.decoded] == [
        "queued",
        "running",
        "completed",
    ]
    assert {key for key, _ in made.bus.events} == {b"a"}


async def test_what_was_refused_is_not_told(clock: ManualClock) -> None:
    made = writer(clock)
    await made.executions.add([queued("1", "a"), queued("2", "a"), queued("1", "a")])
    stale = transitions.cancel(queued("1", "a").evolve(seq=7), NOW, RETENTION)
    await made.executions.record([Change(queued("1", "a").evolve(seq=7), stale)])
    await made.executions.claim(["unknown"], lease(), NOW)
    await made.journal.flush()
    assert made.bus.told == [f"{FIRST}:1"]
    assert made.journal._ledger.is_clear


async def test_a_second_claim_is_no_start(clock: ManualClock) -> None:
    made = writer(clock)
    await made.executions.add([queued("1", "a")])
    await made.executions.claim([FIRST], lease("one", until=NOW + SECOND), NOW)
    await clock.advance(2 * SECOND)
    await made.executions.claim([FIRST], lease("two"), clock.now())
    await made.journal.flush()
    assert made.bus.told == [f"{FIRST}:1", f"{FIRST}:2"]


async def test_nothing_is_recorded_before_the_word_is_given(clock: ManualClock) -> None:
    made = writer(clock)
    made.marks.away = True
    with pytest.raises(Unavailable):
        await made.executions.add([queued("1", "a")])
    assert await made.stored.get("default", FIRST) is None
    made.marks.away = False
    await made.executions.add([queued("1", "a")])
    assert made.mark.published_until <= NOW
    assert made.marks.saved == 1


async def test_one_word_serves_any_number_of_records(clock: ManualClock) -> None:
    made = writer(clock)
    for number in range(20):
        await made.executions.add([queued(f"{number}", f"w{number}")])
    assert made.marks.saved == 1


async def test_what_is_recorded_late_moves_the_word_back_first(clock: ManualClock) -> None:
    made = writer(clock)
    late = queued("1", "a")
    await clock.advance(10 * SECOND)
    await made.journal.beat()
    assert made.mark.published_until == clock.now() - LAG > late.created_at
    await made.executions.add([late])
    assert made.mark.published_until == late.created_at
    await made.journal.flush()
    await made.journal.beat()
    assert made.mark.published_until == clock.now() - LAG


async def test_many_that_wait_for_a_word_are_served_by_one(clock: ManualClock) -> None:
    made = writer(clock)
    adding = [made.executions.add([queued(f"{n}", f"w{n}")]) for n in range(20)]
    await asyncio.gather(*adding)
    assert made.marks.saved == 1


async def test_the_beat_outlives_an_error(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = writer(clock)

    async def refused(_: object) -> None:
        raise ValueError("not allowed")

    monkeypatch.setattr(made.marks, "save", refused)
    running = asyncio.create_task(made.journal.run())
    await clock.advance(2 * SECOND)
    monkeypatch.undo()
    await clock.advance(2 * SECOND)
    assert made.mark.beat_until > clock.now()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_a_word_that_may_have_arrived_binds(clock: ManualClock) -> None:
    made = writer(clock)
    await made.journal.beat()
    await clock.advance(5 * SECOND)
    made.marks.away = True
    with pytest.raises(Unavailable):
        await made.journal.beat()
    made.marks.away = False
    before = made.marks.saved
    await made.executions.add([queued("1", "a")])
    assert made.marks.saved == before + 1


async def test_a_word_about_to_end_is_renewed_first(clock: ManualClock) -> None:
    made = writer(clock)
    await made.journal.beat()
    await clock.advance(WORD)
    made.marks.away = True
    with pytest.raises(Unavailable):
        await made.executions.add([queued("1", "a", now=clock.now())])
    assert await made.stored.get("default", FIRST) is None


async def test_while_the_bus_is_away_the_word_stays_and_nothing_waits(clock: ManualClock) -> None:
    made = writer(clock)
    made.bus.away = True
    publishing = asyncio.create_task(made.journal.run())
    await ended(made, queued("1", "a"))
    await clock.advance(20 * SECOND)
    assert made.mark.published_until == NOW
    assert counted(made.counters, "execution_events_waiting") == 3
    assert counted(made.counters, "execution_events_behind_seconds") >= 19
    made.bus.away = False
    await clock.advance(2 * SECOND)
    assert made.bus.told == [f"{FIRST}:1", f"{FIRST}:2", f"{FIRST}:3"]
    await clock.advance(2 * SECOND)
    assert made.mark.published_until > NOW
    assert counted(made.counters, "execution_events_waiting") == 0
    publishing.cancel()
    with suppress(asyncio.CancelledError):
        await publishing


@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_write_in_doubt_is_left_to_the_storage(clock: ManualClock, side: str) -> None:
    made = writer(clock, faults=Faults.at(side, 0))
    with pytest.raises(Unavailable):
        await made.executions.add([queued("1", "a")])
    await clock.advance(SETTLING / 2)
    await made.journal.beat()
    assert made.mark.published_until == NOW
    await clock.advance(SETTLING)
    await made.journal.beat()
    await made.journal.beat()
    assert made.mark.published_until == clock.now() - LAG
    (orphan,) = await made.marks.lapsed(clock.now() + SECOND, 10)
    assert orphan.published_until == NOW


async def test_a_claim_whose_reply_was_lost_is_left_to_the_storage(clock: ManualClock) -> None:
    made = writer(clock, faults=Faults.at("after", 1))
    await made.executions.add([queued("1", "a")])
    with pytest.raises(Unavailable):
        await made.executions.claim([FIRST], lease(), NOW)
    await clock.advance(5 * SECOND)
    claim = await made.executions.claim([FIRST], lease(), clock.now())
    assert [won.id for won in claim.won] == [FIRST]
    await made.journal.flush()
    assert made.bus.told == [f"{FIRST}:1"]
    assert made.journal._ledger.published_until(clock.now()) == NOW


async def test_what_does_not_fit_into_memory_is_left_to_the_storage(clock: ManualClock) -> None:
    made = writer(clock, capacity=2)
    made.bus.away = True
    await ended(made, queued("1", "a"))
    assert counted(made.counters, "execution_events_deferred_total") == 1
    await clock.advance(SETTLING)
    await made.journal.beat()
    assert await made.marks.lapsed(clock.now() + SECOND, 10) == []
    made.bus.away = False
    await made.journal.flush()
    await made.journal.beat()
    (orphan,) = await made.marks.lapsed(clock.now() + SECOND, 10)
    assert orphan.published_until == NOW


async def test_a_clean_stop_publishes_all_and_leaves_nothing(clock: ManualClock) -> None:
    made = writer(clock)
    await ended(made, queued("1", "a"))
    await made.journal.close()
    assert len(made.bus.told) == 3
    assert made.marks.by_publisher == {}


async def test_a_stop_without_a_bus_leaves_the_rest_to_a_scheduler_at_once(
    clock: ManualClock,
) -> None:
    made = writer(clock)
    made.bus.away = True
    await ended(made, queued("1", "a"))
    await made.journal.close()
    (mark,) = await made.marks.lapsed(clock.now() + timedelta(milliseconds=1), 10)
    assert mark.published_until <= NOW


async def test_events_that_cannot_be_sent_at_all_do_not_hold_up_the_others(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = writer(clock)
    await made.executions.add([queued("1", "a")])

    async def broken(_: object) -> None:
        raise ValueError("a bug")

    with monkeypatch.context() as patched:
        patched.setattr(made.bus, "publish_events", broken)
        await made.journal.flush()
    await made.executions.add([queued("2", "b")])
    await made.journal.flush()
    assert made.bus.told == [f"{SECOND_ONE}:1"]
    assert made.journal._ledger.is_clear


async def test_a_batch_that_was_interrupted_is_sent_again(clock: ManualClock) -> None:
    made = writer(clock)
    await made.executions.add([queued("1", "a")])
    stuck = asyncio.Event()

    async def waits(_: object) -> None:
        await stuck.wait()

    sent = made.bus.publish_events
    made.bus.publish_events = waits  # type: ignore[method-assign,assignment]
    flushing = asyncio.create_task(made.journal.flush())
    await settle()
    flushing.cancel()
    with suppress(asyncio.CancelledError):
        await flushing
    made.bus.publish_events = sent  # type: ignore[method-assign]
    await made.journal.close()
    assert made.bus.told == [f"{FIRST}:1"]
