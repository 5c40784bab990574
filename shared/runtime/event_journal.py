"""Publishing what was recorded, in the background; recording never waits for the bus."""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Final

import structlog

from shared.domain.errors import Unavailable
from shared.domain.lifecycle import LifecycleEvent
from shared.ports.clock import Clock
from shared.ports.lifecycle import EventPublisher, WatermarkRepository
from shared.runtime.event_ledger import EventLedger
from shared.runtime.event_metrics import EventMetrics
from shared.runtime.event_word import EventWord

BEAT: Final = timedelta(seconds=1)
_LINGER: Final = timedelta(milliseconds=50)
_AFTER_FAILURE: Final = timedelta(milliseconds=500)
_BATCH: Final = 500
log = structlog.get_logger(__name__)


class EventJournal:
    """Takes lifecycle events from those who record, and sees to it that they are published."""

    def __init__(
        self,
        publisher: EventPublisher,
        marks: WatermarkRepository,
        clock: Clock,
        metrics: EventMetrics,
        name: str,
        retention: timedelta,
        capacity: int = 20_000,
    ) -> None:
        self._publisher = publisher
        self._clock = clock
        self._metrics = metrics
        self._capacity = capacity
        self._ledger = EventLedger()
        self._word = EventWord(self._ledger, marks, clock, name, retention)
        self._queue: deque[tuple[int, Sequence[LifecycleEvent]]] = deque()
        self._waiting = 0
        self._arrived = asyncio.Event()
        self._sending = asyncio.Lock()

    async def open(self, earliest: datetime) -> int:
        """Announce a call of the storage about things that happened at `earliest` or later.

        Returns its number once the word that is stored covers it. Raises Unavailable.
        """
        number = self._ledger.open(earliest)
        try:
            await self._word.cover(earliest)
        except BaseException:
            self._ledger.published(number)
            raise
        return number

    @contextmanager
    def call(self, number: int) -> Iterator[list[LifecycleEvent]]:
        """Surround the call; what is put into the list is published. If it fails, it is in doubt.

        Then only the storage knows what happened, and it is asked later.
        """
        events: list[LifecycleEvent] = []
        try:
            yield events
        except BaseException:
            self._ledger.lost(number, self._clock.now())
            raise
        self._put(number, events)

    async def run(self) -> None:
        """Publish what comes, and keep the word, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._publish())
            group.create_task(self._beat())

    async def close(self) -> None:
        """Publish the rest. What cannot be published now is left to a scheduler."""
        with suppress(Unavailable):
            await self.flush()
        await self._word.end()

    async def flush(self) -> None:
        """Return once everything that was handed in is published. Raises Unavailable."""
        async with self._sending:
            while self._queue:
                await self._send_batch()

    async def beat(self) -> None:
        """Renew the word; hand over what is left to the storage. Raises Unavailable."""
        await self._word.renew()
        if self._waiting <= self._capacity // 2:
            await self._word.hand_over_gap()
        now = self._clock.now()
        self._metrics.waiting.set(self._waiting)
        behind = now - self._ledger.published_until(now)
        self._metrics.behind.set(behind.total_seconds())

    def _put(self, number: int, events: Sequence[LifecycleEvent]) -> None:
        if not events:
            self._ledger.published(number)
        elif self._waiting + len(events) > self._capacity:
            self._ledger.lost(number, self._clock.now())
            self._metrics.deferred.inc(len(events))
        else:
            self._queue.append((number, events))
            self._waiting += len(events)
            self._arrived.set()

    async def _publish(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            # Nobody waits for them, and a batch costs a fraction of as many single ones.
            await self._clock.sleep_until(self._clock.now() + _LINGER)
            try:
                await self.flush()
            except Unavailable as error:
                log.debug("events.waiting", count=self._waiting, why=error.reason)
                self._arrived.set()
                await self._clock.sleep_until(self._clock.now() + _AFTER_FAILURE)

    async def _send_batch(self) -> None:
        calls: list[tuple[int, Sequence[LifecycleEvent]]] = []
        events: list[LifecycleEvent] = []
        while self._queue and len(events) < _BATCH:
            calls.append(self._queue.popleft())
            events += calls[-1][1]
        try:
            await self._publisher.publish_events(events)
        except (Unavailable, asyncio.CancelledError):
            self._queue.extendleft(reversed(calls))
            raise
        except Exception:
            # A bug that concerns some events must not hold up all others for good.
            log.exception("events.unpublishable", count=len(events))
        else:
            self._metrics.published.inc(len(events))
        self._waiting -= len(events)
        for number, _ in calls:
            self._ledger.published(number)

    async def _beat(self) -> None:
        while True:
            try:
                await self.beat()
            except Unavailable as error:
                log.debug("events.no_word", why=error.reason)
            except Exception:
                # Whoever records gives the word then, and meets the error, too.
                log.exception("events.beat_failed")
            await self._clock.sleep_until(self._clock.now() + BEAT)
