"""What every bus, every store of watermarks and every archive promises about lifecycle events."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from shared.adapters.kafka.publisher import KafkaPublisher
from shared.adapters.memory.bus import MemoryBus
from shared.adapters.memory.clock import ManualClock
from shared.adapters.memory.executions import MemoryExecutions
from shared.adapters.memory.lifecycle import MemoryWatermarks
from shared.adapters.mongo.connection import MongoConnection
from shared.adapters.mongo.executions import MongoExecutions
from shared.adapters.mongo.lifecycle import MongoArchive, MongoWatermarks
from shared.contracts.lifecycle import encode_event
from shared.domain import transitions
from shared.domain.errors import Unavailable
from shared.domain.execution import Execution
from shared.domain.lifecycle import LifecycleEvent, Milestone
from shared.ports.executions import Change, ExecutionRepository
from shared.ports.lifecycle import (
    EventPublisher,
    ExecutionArchive,
    Watermark,
    WatermarkRepository,
)
from tests.support.builders import NOW, SECOND, lease, queued
from tests.support.event_tap import event_tap
from tests.support.kafka import kafka_settings
from tests.support.servers import brokers
from tests.support.waiting import eventually

RETENTION = timedelta(days=36500)
COUNT = 3000
Message = tuple[bytes | None, bytes | None]


@dataclass
class Bus:
    publisher: EventPublisher
    received: Callable[[int], Awaitable[list[Message]]]


@pytest.fixture(params=["memory", *brokers()])
async def bus(
    request: pytest.FixtureRequest, unique: str, clock: ManualClock
) -> AsyncIterator[Bus]:
    if request.param == "memory":
        memory = MemoryBus(clock)

        async def lying(_: int) -> list[Message]:
            return list(memory.events)

        yield Bus(memory, lying)
        return
    settings = kafka_settings(request.param, unique)
    publisher = KafkaPublisher(settings, clock)

    async def received(count: int) -> list[Message]:
        async with event_tap(settings.bootstrap_servers, settings.topics.events) as tap:
            await eventually(tap.read, lambda events: len(events) >= count)
            return [(record.key, record.value) for record in tap.records]

    async def trouble() -> str | None:
        return publisher.trouble

    task = asyncio.create_task(publisher.run())
    await eventually(trouble, lambda reason: reason is None)
    yield Bus(publisher, received)
    task.cancel()
    await publisher.close()
    with pytest.raises(Unavailable):
        await publisher.publish_events([event(0)])


def event(number: int) -> LifecycleEvent:
    return LifecycleEvent(Milestone.QUEUED, queued(f"{number}", f"w{number % 7}"), 1, NOW)


async def test_events_arrive_under_the_key_of_their_workflow_in_order(bus: Bus) -> None:
    sent = [event(number) for number in range(COUNT)]
    await bus.publisher.publish_events(sent[: COUNT // 2])
    await bus.publisher.publish_events([])
    await bus.publisher.publish_events(sent[COUNT // 2 :])
    got = await bus.received(COUNT)
    for number in range(7):
        key = f"w{number}".encode()
        own = [encode_event(e) for e in sent if e.execution.workflow_id == key.decode()]
        assert [value for k, value in got if k == key] == own
    assert len(got) == COUNT


@pytest.fixture
def marks(storage: MongoConnection | None) -> WatermarkRepository:
    return MongoWatermarks(storage) if storage else MemoryWatermarks()


MARK = Watermark("p", NOW, NOW + 15 * SECOND, 1, timedelta(days=30))
AFTER = NOW + 16 * SECOND


async def test_a_watermark_lapses_when_its_beat_ends(marks: WatermarkRepository) -> None:
    other = replace(MARK, publisher="q", beat_until=NOW + SECOND)
    await marks.save(MARK)
    await marks.save(other)
    assert await marks.lapsed(NOW, 10) == []
    assert await marks.lapsed(MARK.beat_until, 10) == [other]
    assert await marks.lapsed(AFTER, 10) == [other, MARK]
    assert await marks.lapsed(AFTER, 1) == [other]
    await marks.remove("q")
    await marks.remove("q")
    assert await marks.lapsed(AFTER, 10) == [MARK]


async def test_an_older_word_does_not_replace_a_newer_one(marks: WatermarkRepository) -> None:
    newer = replace(MARK, revision=3, published_until=NOW - SECOND)
    await marks.save(newer)
    await marks.save(replace(MARK, revision=2))
    assert await marks.lapsed(AFTER, 10) == [newer]
    await marks.save(replace(MARK, revision=4))
    assert await marks.lapsed(AFTER, 10) == [replace(MARK, revision=4)]


async def test_a_watermark_is_taken_over_once(marks: WatermarkRepository) -> None:
    await marks.save(MARK)
    taken = await marks.take_over(MARK, AFTER + SECOND)
    assert taken == replace(MARK, beat_until=AFTER + SECOND)
    assert await marks.take_over(MARK, AFTER + SECOND * 2) is None
    assert await marks.lapsed(AFTER, 10) == []
    assert taken is not None
    await marks.settle(taken)
    assert await marks.take_over(taken, AFTER) is None


async def test_a_publisher_that_comes_back_stays(marks: WatermarkRepository) -> None:
    await marks.save(MARK)
    taken = await marks.take_over(MARK, AFTER + SECOND)
    assert taken is not None
    again = replace(MARK, revision=2, beat_until=AFTER)
    await marks.save(again)
    await marks.settle(taken)
    assert await marks.lapsed(AFTER + SECOND, 10) == [again]


async def test_the_shortest_retention_counts(marks: WatermarkRepository) -> None:
    assert await marks.shortest_retention() is None
    await marks.save(MARK)
    await marks.save(replace(MARK, publisher="q", retention=timedelta(days=1)))
    assert await marks.shortest_retention() == timedelta(days=1)


@dataclass
class Stored:
    executions: ExecutionRepository
    archive: ExecutionArchive

    async def touched(self, since: datetime) -> set[str]:
        """Return the ids of what was touched since; check that histories are whole."""
        found: set[str] = set()
        async for page in self.archive.touched(since, RETENTION):
            for execution in page:
                assert [e.seq for e in execution.history] == [*range(1, execution.seq + 1)]
                found.add(execution.id)
        return found


@pytest.fixture(params=[1, 3, 2000])
def stored(storage: MongoConnection | None, request: pytest.FixtureRequest) -> Stored:
    if storage is None:
        memory = MemoryExecutions()
        return Stored(memory, memory)
    collection = storage.executions
    return Stored(MongoExecutions(collection), MongoArchive(collection, page=request.param))


async def test_what_was_touched_is_found_wherever_it_stands(stored: Stored) -> None:
    """Of ten queued at the start, some start later, some end at once, early and late."""
    executions = [queued(f"{n}", f"w{n}") for n in range(10)]
    ids = [e.id for e in executions]
    await stored.executions.add(executions)
    late = NOW + 60 * SECOND
    await stored.executions.claim(ids[:3], lease(), late)

    def cancelled(e: Execution, at: datetime) -> Change:
        return Change(e, transitions.cancel(e, at, RETENTION))

    await stored.executions.record([cancelled(e, NOW + SECOND) for e in executions[3:6]])
    await stored.executions.record([cancelled(e, late) for e in executions[6:8]])
    assert await stored.touched(late) == {*ids[:3], *ids[6:8]}
    assert await stored.touched(NOW + SECOND) == set(ids[:8])
    assert await stored.touched(NOW) == set(ids)
    assert await stored.touched(late + SECOND) == set()
