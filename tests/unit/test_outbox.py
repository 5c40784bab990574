"""Sending in the background: bounded, in batches, and what is lost is counted."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from prometheus_client import CollectorRegistry, Counter

from shared.adapters.memory.clock import settle
from shared.runtime.outbox import Outbox
from tests.unit.doubles import away, counted


class Post:
    """An outbox of numbers, and the publisher behind it."""

    def __init__(self, capacity: int = 10_000) -> None:
        self.counters = CollectorRegistry()
        counter = Counter("dropped", "Numbers that were not sent.", registry=self.counters)
        self.outbox = Outbox("numbers", self._send, counter, capacity)
        self.sent: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.failures = 0

    async def _send(self, numbers: Sequence[int]) -> None:
        await self.open.wait()
        if self.failures:
            self.failures -= 1
            raise away()
        self.sent.append(list(numbers))

    def put(self, *numbers: int) -> None:
        for number in numbers:
            self.outbox.put(number)

    @property
    def dropped(self) -> float:
        return counted(self.counters, "dropped_total")


@asynccontextmanager
async def sending(post: Post) -> AsyncIterator[Post]:
    """Let an outbox send."""
    task = asyncio.ensure_future(post.outbox.run())
    await settle()
    try:
        yield post
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_what_is_handed_in_is_sent_in_batches_and_in_order() -> None:
    async with sending(Post()) as post:
        post.put(1)
        await settle()
        post.put(2, 3, 4)
        await settle()
    assert (post.sent, post.dropped) == ([[1], [2, 3, 4]], 0)


async def test_what_comes_while_it_sends_gathers_for_the_next_batch() -> None:
    async with sending(Post()) as post:
        post.open.clear()
        post.put(1)
        await settle()
        for number in range(2, 6):
            post.put(number)
            await settle()
        assert post.sent == []
        post.open.set()
        await settle()
    assert post.sent == [[1], [2, 3, 4, 5]]


async def test_a_batch_has_a_largest_size() -> None:
    async with sending(Post()) as post:
        post.put(*range(1200))
        await settle()
    assert [len(batch) for batch in post.sent] == [500, 500, 200]
    assert [number for batch in post.sent for number in batch] == list(range(1200))


async def test_nobody_waits_for_a_broker_and_what_does_not_fit_is_counted() -> None:
    async with sending(Post(capacity=3)) as post:
        post.open.clear()
        post.put(0)
        await settle()
        post.put(1, 2, 3, 4, 5)
        assert post.dropped == 2
        post.open.set()
        await settle()
    assert post.sent == [[0], [1, 2, 3]]


async def test_a_batch_that_could_not_be_sent_is_dropped_and_counted() -> None:
    async with sending(Post()) as post:
        post.failures = 1
        post.put(1, 2, 3)
        await settle()
        post.put(4)
        await settle()
    assert (post.sent, post.dropped) == ([[4]], 3)


async def test_an_outbox_that_was_full_takes_again_once_it_has_sent() -> None:
    async with sending(Post(capacity=1)) as post:
        for number in range(5):
            post.put(number)
            await settle()
    assert (post.sent, post.dropped) == ([[0], [1], [2], [3], [4]], 0)


async def test_flushing_sends_what_is_waiting() -> None:
    post = Post()
    post.put(1, 2, 3)
    await post.outbox.flush()
    assert post.sent == [[1, 2, 3]]


async def test_flushing_an_empty_outbox_sends_nothing() -> None:
    post = Post()
    await post.outbox.flush()
    assert post.sent == []


async def test_flushing_without_a_broker_counts_and_does_not_fail() -> None:
    post = Post()
    post.failures = 1
    post.put(1, 2)
    await post.outbox.flush()
    assert (post.sent, post.dropped) == ([], 2)


async def test_flushing_sends_all_that_is_waiting() -> None:
    post = Post()
    post.put(*range(1200))
    await post.outbox.flush()
    assert [number for batch in post.sent for number in batch] == list(range(1200))


async def test_flushing_waits_for_what_is_being_sent() -> None:
    async with sending(Post()) as post:
        post.open.clear()
        post.put(1)
        await settle()
        flushing = asyncio.ensure_future(post.outbox.flush())
        await settle()
        assert not flushing.done()
        post.open.set()
        await flushing
    assert post.sent == [[1]]


async def test_what_was_being_sent_when_the_sender_ended_is_flushed() -> None:
    post = Post()
    post.open.clear()
    async with sending(post):
        post.put(1, 2)
        await settle()
    post.open.set()
    post.put(3)
    await post.outbox.flush()
    assert post.sent == [[1, 2, 3]]
    assert post.dropped == 0
