"""What every event bus promises, in memory, on the embedded broker and on Apache Kafka."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Protocol

import pytest

from shared.adapters.kafka.publisher import KafkaPublisher
from shared.adapters.kafka.subscriber import KafkaNoticeSubscriber, KafkaRequestSubscriber
from shared.adapters.memory.bus import MemoryBus
from shared.adapters.memory.clock import ManualClock
from shared.ports.bus import (
    Delivery,
    ExecutionCancelled,
    ExecutionRequest,
    ExecutionWakes,
    Notice,
    NoticeSubscriber,
    RequestSubscriber,
    WorkflowChanged,
)
from tests.support.builders import NOW, SECOND
from tests.support.kafka import kafka_settings
from tests.support.servers import brokers
from tests.support.waiting import eventually

SOON = timedelta(milliseconds=200)
NOW_IT_IS = ExecutionCancelled("now")


class Subscriber(RequestSubscriber, Protocol):
    async def close(self) -> None: ...


class Listener(NoticeSubscriber, Protocol):
    pass


@dataclass
class Bus:
    publisher: MemoryBus | KafkaPublisher
    subscriber: Callable[[], Subscriber]
    listener: Callable[[], Listener]
    put: Callable[[bytes], object]


@pytest.fixture(params=["memory", *brokers()])
async def bus(
    request: pytest.FixtureRequest, unique: str, clock: ManualClock
) -> AsyncIterator[Bus]:
    if request.param == "memory":
        memory = MemoryBus(clock)

        async def put(value: bytes) -> None:
            memory.put(value)

        yield Bus(memory, memory.subscriber, memory.listener, put)
        return
    settings = kafka_settings(request.param, unique)
    publisher = KafkaPublisher(settings, clock)
    task = asyncio.create_task(publisher.run())
    async with AsyncExitStack() as stack:

        def subscriber() -> KafkaRequestSubscriber:
            made = KafkaRequestSubscriber(settings)
            stack.push_async_callback(made.close)
            return made

        def listener() -> KafkaNoticeSubscriber:
            made = KafkaNoticeSubscriber(settings)
            stack.push_async_callback(made.close)
            return made

        async def put_raw(value: bytes) -> None:
            await publisher._send(settings.topics.requests, [(None, value)])

        async def trouble() -> str | None:
            return publisher.trouble

        await eventually(trouble, lambda reason: reason is None)
        yield Bus(publisher, subscriber, listener, put_raw)
    task.cancel()
    await publisher.close()


def _request(number: int) -> ExecutionRequest:
    return ExecutionRequest(f"e{number}", "default", f"w{number % 7}", NOW)


async def _receive(subscriber: RequestSubscriber, count: int, limit: int = 100) -> list[Delivery]:
    got: list[Delivery] = []

    async def fetch() -> int:
        got.extend(await subscriber.fetch(limit, SOON))
        return len(got)

    await eventually(fetch, lambda n: n >= count)
    return got


def _numbers(deliveries: list[Delivery]) -> set[str]:
    return {d.request.execution_id for d in deliveries if d.request}


async def test_requests_arrive_as_they_were_sent(bus: Bus) -> None:
    sent = [_request(n) for n in range(50)]
    await bus.publisher.publish(sent)
    await bus.publisher.publish([_request(50)], spread=True)
    got = await _receive(bus.subscriber(), 51)
    requests = [d.request for d in got if d.request]
    assert sorted(requests, key=lambda r: int(r.execution_id[1:])) == [*sent, _request(50)]
    in_order = [int(r.execution_id[1:]) for r in requests if r.workflow_id == "w3"]
    assert in_order == sorted(in_order)
    keys = {d.record.key for d in got if d.request and d.request.execution_id == "e50"}
    assert keys == {None}


async def test_a_fetch_takes_no_more_than_its_limit(bus: Bus) -> None:
    await bus.publisher.publish([_request(n) for n in range(20)])
    subscriber = bus.subscriber()
    got: list[Delivery] = []

    async def fetch() -> int:
        some = await subscriber.fetch(3, SOON)
        assert len(some) <= 3
        assert await subscriber.fetch(0, SOON) == []
        got.extend(some)
        return len(got)

    await eventually(fetch, lambda n: n >= 20)
    assert _numbers(got) == {f"e{n}" for n in range(20)}


async def test_what_was_not_committed_comes_again(bus: Bus) -> None:
    for number in range(10):
        # One at a time: the embedded broker resumes only where a sent batch began.
        await bus.publisher.publish([_request(number)])
    first = bus.subscriber()
    got = await _receive(first, 10)
    by_partition: dict[int, list[Delivery]] = {}
    for delivery in got:
        by_partition.setdefault(delivery.record.partition, []).append(delivery)
    done = [d for part in by_partition.values() for d in part[: len(part) // 2]]
    await first.commit(done)
    await first.close()
    again = await _receive(bus.subscriber(), len(got) - len(done))
    assert _numbers(again) == _numbers(got) - _numbers(done)


async def test_subscribers_share_the_requests(bus: Bus) -> None:
    first, second = bus.subscriber(), bus.subscriber()
    got: dict[str, list[Delivery]] = {"first": [], "second": []}

    async def consume(name: str, subscriber: RequestSubscriber) -> None:
        while True:
            some = await subscriber.fetch(5, SOON)
            await subscriber.commit(some)
            got[name] += some

    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(consume("first", first)),
            group.create_task(consume("second", second)),
        ]
        number = 0

        async def both() -> bool:
            nonlocal number
            await bus.publisher.publish([_request(n) for n in range(number, number + 20)])
            number += 20
            await asyncio.sleep(0.1)
            return bool(got["first"] and got["second"])

        await eventually(both)

        async def all_numbers() -> set[str]:
            return _numbers(got["first"]) | _numbers(got["second"])

        await eventually(all_numbers, lambda seen: len(seen) == number)
        for task in tasks:
            task.cancel()


async def test_poison_is_told_from_what_is_meant_for_others(bus: Bus) -> None:
    subscriber = bus.subscriber()
    await bus.publisher.publish([_request(1)])
    newer = (
        b'{"specversion":"1.0","id":"1","source":"/x","type":"workflows.execution-request.v2",'
        b'"time":"2026-01-01T00:00:00Z","data":{"shape":"unknown"}}'
    )
    for value in (b"\xff\xfe", b"{}", b'{"type":"other"}', newer):
        result = bus.put(value)
        if asyncio.iscoroutine(result):
            await result
    got = await _receive(subscriber, 5)
    assert _numbers(got) == {"e1"}
    problems = {d.record.value: d.problem for d in got if not d.request}
    assert problems[b"\xff\xfe"] == "not JSON"
    assert "not an execution request" in (problems[b"{}"] or "")
    assert "not an execution request" in (problems[b'{"type":"other"}'] or "")
    assert problems[newer] is None


async def test_a_requeued_record_comes_back_byte_for_byte(bus: Bus) -> None:
    subscriber = bus.subscriber()
    result = bus.put(b"poison")
    if asyncio.iscoroutine(result):
        await result
    (got,) = await _receive(subscriber, 1)
    await bus.publisher.dead_letter(got.record, got.problem or "")
    await bus.publisher.requeue(got.record)
    (again,) = await _receive(subscriber, 1)
    assert again.record.value == b"poison"
    assert again.record.offset != got.record.offset or (
        again.record.partition != got.record.partition
    )


async def test_every_listener_hears_every_notice_from_its_start_on(bus: Bus) -> None:
    await bus.publisher.announce([ExecutionCancelled("too-early")])
    listeners = [bus.listener(), bus.listener()]
    for listener in listeners:
        await eventually(partial(_heard_of_now, bus, listener))
    sent: list[Notice] = [
        WorkflowChanged("default", "w", NOW + SECOND),
        ExecutionWakes("e", "default", "w", NOW),
        ExecutionCancelled("e"),
        ExecutionCancelled("e", "token"),
    ]
    await bus.publisher.announce(sent)
    for listener in listeners:
        heard: list[Notice] = []

        async def fetch(listener: Listener = listener, heard: list[Notice] = heard) -> int:
            heard.extend(n for n in await listener.fetch(SOON) if n != NOW_IT_IS)
            return len(heard)

        await eventually(fetch, lambda n: n >= len(sent))
        assert heard == sent


async def _heard_of_now(bus: Bus, listener: Listener) -> bool:
    """Tell whether a listener has started: it has once it hears of what happens now."""
    await bus.publisher.announce([NOW_IT_IS])
    heard = await listener.fetch(SOON)
    assert {*heard} <= {NOW_IT_IS}
    return bool(heard)
