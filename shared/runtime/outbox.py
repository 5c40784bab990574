"""Sending in the background: whoever hands something in does not wait for the broker."""

import asyncio
from collections import deque
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
        self._capacity = capacity
        self._waiting: deque[T] = deque()
        self._arrived = asyncio.Event()
        self._sending = asyncio.Lock()

    def put(self, item: T) -> None:
        """Hand in one item; never waits and never fails."""
        if len(self._waiting) >= self._capacity:
            self._dropped.inc()
            log.warning("outbox.full", outbox=self._name)
            return
        self._waiting.append(item)
        self._arrived.set()

    async def run(self) -> None:
        """Send what is handed in, in batches, until cancelled."""
        while True:
            await self._arrived.wait()
            await self.flush()

    async def flush(self) -> None:
        """Return once everything that was handed in is sent or dropped."""
        async with self._sending:
            while self._waiting:
                await self._send_batch()
            self._arrived.clear()

    async def _send_batch(self) -> None:
        size = min(len(self._waiting), _BATCH)
        batch = [self._waiting.popleft() for _ in range(size)]
        try:
            await self._send(batch)
        except Unavailable as error:
            self._dropped.inc(len(batch))
            log.warning("outbox.dropped", outbox=self._name, count=len(batch), why=error.reason)
        except asyncio.CancelledError:
            self._waiting.extendleft(reversed(batch))
            raise
