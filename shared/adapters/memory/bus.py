"""An event bus in memory, with the byte formats of the real one."""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from shared.contracts.lifecycle import encode_event
from shared.contracts.notices import decode_notice, encode_notice
from shared.contracts.requests import decode_request, encode_request
from shared.contracts.topics import Topics
from shared.domain.lifecycle import LifecycleEvent
from shared.ports.bus import Delivery, ExecutionRequest, Notice, Record
from shared.ports.clock import Clock

_SOURCE = "/memory"


class MemoryBus:
    """All publishers of the bus in one; `subscriber()` and `listener()` give the other ends.

    One consumer group with one partition: an uncommitted record comes again only
    when its subscriber is closed, as on a broker after a rebalance.
    """

    def __init__(self, clock: Clock, topics: Topics | None = None) -> None:
        self.topics = topics or Topics()
        self.dead_letters: list[tuple[Record, str]] = []
        self.events: list[tuple[bytes, bytes]] = []
        self._clock = clock
        self._pending: deque[Record] = deque()
        self._listeners: list[asyncio.Queue[Notice]] = []
        self._arrived = asyncio.Event()
        self._offset = 0

    async def publish(self, requests: Sequence[ExecutionRequest], *, spread: bool = False) -> None:
        """See RequestPublisher.publish."""
        for request in requests:
            key = None if spread else request.workflow_id.encode()
            self.put(encode_request(request, _SOURCE), key)

    def put(self, value: bytes, key: bytes | None = None) -> None:
        """Lay raw bytes onto the request topic."""
        now = self._clock.now()
        self._pending.append(Record(self.topics.requests, 0, self._offset, now, key, value))
        self._offset += 1
        self._arrived.set()

    async def announce(self, notices: Sequence[Notice]) -> None:
        """See NoticePublisher.announce."""
        for notice in notices:
            sent = decode_notice(encode_notice(notice, _SOURCE, self._clock.now(), "memory"))
            for listener in self._listeners:
                if sent is not None:
                    listener.put_nowait(sent)

    async def publish_events(self, events: Sequence[LifecycleEvent]) -> None:
        """See EventPublisher.publish_events. They lie in `events`, as key and value."""
        self.events += [(e.execution.workflow_id.encode(), encode_event(e)) for e in events]

    async def dead_letter(self, record: Record, reason: str) -> None:
        """See RecordPublisher.dead_letter."""
        self.dead_letters.append((record, reason))

    async def requeue(self, record: Record) -> None:
        """See RecordPublisher.requeue."""
        self.put(record.value, record.key)

    def subscriber(self) -> "MemorySubscriber":
        """Return a new member of the runners' group."""
        return MemorySubscriber(self)

    def listener(self) -> "MemoryListener":
        """Return a new reader of notices, from now on."""
        queue: asyncio.Queue[Notice] = asyncio.Queue()
        self._listeners.append(queue)
        return MemoryListener(queue)

    def wipe(self) -> None:
        """Lose everything that is waiting, as a broker without a disk does."""
        self._pending.clear()

    def take(self, limit: int) -> list[Record]:
        """Hand out up to `limit` waiting records."""
        taken = [self._pending.popleft() for _ in range(min(limit, len(self._pending)))]
        if not self._pending:
            self._arrived.clear()
        return taken

    def give_back(self, records: Sequence[Record]) -> None:
        """Take back records that were handed out but not committed."""
        self._pending.extendleft(reversed(records))
        self._arrived.set()

    async def arrival(self, wait: timedelta) -> None:
        """Return when something is waiting, or after `wait`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(wait.total_seconds()):
                await self._arrived.wait()


class MemorySubscriber:
    """A RequestSubscriber of a MemoryBus."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self._uncommitted: dict[int, Record] = {}

    async def fetch(self, limit: int, wait: timedelta) -> list[Delivery]:
        """See RequestSubscriber.fetch."""
        if limit == 0:
            await asyncio.sleep(0)
            return []
        await asyncio.sleep(0)
        await self._bus.arrival(wait)
        records = self._bus.take(limit)
        self._uncommitted.update((record.offset, record) for record in records)
        return [decode_request(replace(record)) for record in records]

    async def commit(self, deliveries: Sequence[Delivery]) -> None:
        """See RequestSubscriber.commit."""
        for delivery in deliveries:
            self._uncommitted.pop(delivery.record.offset, None)

    async def close(self) -> None:
        """Leave the group; what was not committed goes to somebody else."""
        self._bus.give_back(list(self._uncommitted.values()))
        self._uncommitted.clear()


class MemoryListener:
    """A NoticeSubscriber of a MemoryBus."""

    def __init__(self, queue: asyncio.Queue[Notice]) -> None:
        self._queue = queue

    async def fetch(self, wait: timedelta) -> list[Notice]:
        """See NoticeSubscriber.fetch."""
        notices = []
        with suppress(TimeoutError):
            async with asyncio.timeout(wait.total_seconds()):
                notices.append(await self._queue.get())
        while not self._queue.empty():
            notices.append(self._queue.get_nowait())
        return notices
