"""Sending in the background: whoever hands something in does not wait for the broker."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import structlog
from prometheus_client import Counter

from shared.domain.errors import Unavailable

T = TypeVar("T")
log = structlog.get_logger(__name__)

_BATCH = 500


class Outbox(Generic[T]):
    """A bounded queue in front of a publisher.

    What cannot be sent, or does not fit, is dropped and counted: it is only a
    wake-up call, and the scheduler's sweep will make it again.
    """

    def __init__(
        self,
        name: str,
        send: Callable[[Sequence[T]], Awaitable[None]],
        dropped: Counter,
        capacity: int = 10_000,
    ) -> None:
        self._name = name
        self._send = send
        self._dropped = dropped
        self._queue: asyncio.Queue[T] = asyncio.Queue(capacity)

    def put(self, item: T) -> None:
        """Hand in one item; never waits and never fails."""
        try:
            self._queue.put_nowait(item)
        except asyncio.QueueFull:
            self._dropped.inc()
            log.warning("outbox.full", outbox=self._name)

    async def run(self) -> None:
        """Send what is handed in, in batches, until cancelled."""
        while True:
            await self._send_batch([await self._queue.get()])

    async def flush(self) -> None:
        """Send what is still waiting."""
        if not self._queue.empty():
            await self._send_batch([])

    async def _send_batch(self, batch: list[T]) -> None:
        while len(batch) < _BATCH and not self._queue.empty():
            batch.append(self._queue.get_nowait())
        try:
            await self._send(batch)
        except Unavailable as error:
            self._dropped.inc(len(batch))
            log.warning("outbox.dropped", outbox=self._name, count=len(batch), why=error.reason)
