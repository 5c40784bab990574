"""Publishing what was recorded, in the background, and keeping one's word on how far that got.

The word (`Watermark`) is what survives a crash: a process gives it before it records
anything, and renews it every second, whatever the number of events. What is recorded
must never be older than the word says, nor the word older than its end; the rare call
for which that would be so waits until a new word is stored.
"""

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
from shared.ports.lifecycle import EventPublisher, Watermark, WatermarkRepository
from shared.runtime.event_ledger import EventLedger
from shared.runtime.event_metrics import EventMetrics

BEAT: Final = timedelta(seconds=1)
WORD: Final = timedelta(seconds=15)
"""So long a word holds. Recording stops short of its end by a third."""

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
        self._marks = marks
        self._clock = clock
        self._metrics = metrics
        self._name = name
        self._retention = retention
        self._capacity = capacity
        self._ledger = EventLedger()
        self._queue: deque[tuple[int, Sequence[LifecycleEvent]]] = deque()
        self._waiting = 0
        self._arrived = asyncio.Event()
        self._sending, self._saving = asyncio.Lock(), asyncio.Lock()
        self._word: Watermark | None = None
        self._highest: datetime | None = None
        self._revision = 0

    async def open(self, earliest: datetime) -> int:
        """Announce a call of the storage about things that happened at `earliest` or later.

        Returns its number once the word that is stored covers it. Raises Unavailable.
        """
        number = self._ledger.open(earliest)
        try:
            while not self._covers(earliest):
                await self._give_word(unless=earliest)
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
        if self._word is None:
            return
        if self._ledger.is_clear:
            await self._marks.remove(self._name)
        else:
            await self._give_word(timedelta())

    async def flush(self) -> None:
        """Return once everything that was handed in is published. Raises Unavailable."""
        async with self._sending:
            while self._queue:
                await self._send_batch()

    async def beat(self) -> None:
        """Renew the word; hand over what is left to the storage. Raises Unavailable."""
        await self._give_word()
        if self._waiting <= self._capacity // 2:
            await self._hand_over_gap()
        now = self._clock.now()
        self._metrics.waiting.set(self._waiting)
        behind = now - self._ledger.published_until(now)
        self._metrics.behind.set(behind.total_seconds())

    def _covers(self, earliest: datetime) -> bool:
        if self._word is None or self._highest is None or earliest < self._highest:
            return False
        return self._clock.now() < self._word.beat_until - WORD / 3

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

    async def _give_word(self, length: timedelta = WORD, *, unless: datetime | None = None) -> None:
        """Store a new word, unless another call has just stored one that covers an instant."""
        async with self._saving:
            if unless is not None and self._covers(unless):
                return
            self._revision += 1
            now = self._clock.now()
            until = self._ledger.published_until(now)
            word = Watermark(self._name, until, now + length, self._revision, self._retention)
            # It may be stored even if the reply is lost, so it binds from now on.
            self._highest = until if self._highest is None else max(self._highest, until)
            await self._marks.save(word)
            self._word, self._highest = word, until

    async def _hand_over_gap(self) -> None:
        """Leave a gap to the schedulers: as the watermark of a publisher that is gone."""
        now = self._clock.now()
        gap = self._ledger.settled_gap(now)
        if gap is None:
            return
        log.warning("events.left_to_storage", since=gap.start.isoformat())
        orphan = f"{self._name}/{self._revision}"
        await self._marks.save(Watermark(orphan, gap.start, now, 1, self._retention))
        self._ledger.handed_over(gap)
