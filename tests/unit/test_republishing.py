"""A process that is gone: its events are published from storage, by whoever looks first."""

import asyncio
from contextlib import suppress
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from scheduler_svc.event_watch import EventWatch
from scheduler_svc.metrics import SchedulerMetrics
from scheduler_svc.use_cases.republish import TURN, RepublishEvents
from shared.adapters.memory.clock import ManualClock
from shared.domain import transitions
from shared.domain.errors import Unavailable
from shared.ports.executions import Change
from shared.runtime.event_word import WORD
from tests.support.builders import SECOND, lease, queued
from tests.unit.journals import RETENTION, FlakyEvents, Writer, writer

ID = queued("1", "a").id
ALL = [f"{ID}:{seq}" for seq in (1, 2, 3)]


def republish(made: Writer, bus: FlakyEvents) -> RepublishEvents:
    metrics = SchedulerMetrics(CollectorRegistry())
    return RepublishEvents(made.marks, made.stored, bus, made.clock, metrics)


async def gone(clock: ManualClock) -> Writer:
    """Return a process that recorded a whole life, published none of it, and was killed."""
    made = writer(clock)
    now = clock.now()
    await made.executions.add([queued("1", "a")])
    (claimed,) = (await made.executions.claim([ID], lease(), now)).won
    await made.executions.record([Change(claimed, transitions.complete(claimed, now, RETENTION))])
    return made


async def test_what_a_process_left_unpublished_is_published_once_its_word_has_ended(
    clock: ManualClock,
) -> None:
    made = await gone(clock)
    bus = FlakyEvents(clock)
    again = republish(made, bus)
    await clock.advance(WORD - SECOND)
    assert await again() == 0
    assert bus.told == []
    await clock.advance(2 * SECOND)
    assert await again() == 1
    assert bus.told == ALL
    assert made.marks.by_publisher == {}
    assert await again() == 0


async def test_a_process_that_published_all_leaves_little_to_repeat(clock: ManualClock) -> None:
    made = await gone(clock)
    await made.journal.flush()
    await clock.advance(10 * SECOND)
    await made.journal.beat()
    await clock.advance(WORD + SECOND)
    bus = FlakyEvents(clock)
    assert await republish(made, bus)() == 1
    assert bus.told == []


async def test_without_a_bus_it_is_tried_again(clock: ManualClock) -> None:
    made = await gone(clock)
    bus = FlakyEvents(clock)
    bus.away = True
    again = republish(made, bus)
    await clock.advance(WORD + SECOND)
    with pytest.raises(Unavailable):
        await again()
    bus.away = False
    assert await again() == 0
    await clock.advance(TURN + SECOND)
    assert await again() == 1
    assert bus.told == ALL


async def test_of_two_schedulers_one_does_it(clock: ManualClock) -> None:
    made = await gone(clock)
    await clock.advance(WORD + SECOND)
    lapsed = await made.marks.lapsed(clock.now(), 10)
    first, second = FlakyEvents(clock), FlakyEvents(clock)
    assert await republish(made, first)._take_over(lapsed)
    assert await republish(made, second)._take_over(lapsed) == []
    assert await republish(made, second)() == 0


async def test_a_process_that_comes_back_keeps_its_word(clock: ManualClock) -> None:
    """It was stopped for a while, was taken for dead, and goes on where it was."""
    made = await gone(clock)
    await clock.advance(WORD + SECOND)

    class Waking(FlakyEvents):
        async def publish_events(self, events: object) -> None:
            await made.journal.beat()

    await republish(made, Waking(clock))()
    assert made.mark.published_until < clock.now() - WORD
    await clock.advance(WORD / 3)
    assert await made.marks.lapsed(clock.now(), 10) == []
    await made.journal.close()
    assert made.bus.told == ALL


async def test_several_words_are_kept_in_one_pass(clock: ManualClock) -> None:
    made = await gone(clock)
    other = writer(clock)
    other.journal._word._name = "other"
    other.journal._word._marks = made.marks
    await other.journal.beat()
    await clock.advance(WORD + SECOND)
    bus = FlakyEvents(clock)
    assert await republish(made, bus)() == 2
    assert bus.told == ALL


async def test_the_watch_goes_on_after_a_failure(clock: ManualClock) -> None:
    made = await gone(clock)
    bus = FlakyEvents(clock)
    bus.away = True
    watch = EventWatch(republish(made, bus), clock, timedelta(seconds=5))
    watching = asyncio.create_task(watch.run())
    await clock.advance(WORD + 6 * SECOND)
    bus.away = False
    await clock.advance(TURN + 6 * SECOND)
    assert bus.told == ALL
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
