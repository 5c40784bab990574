"""A process's word on how far it has published what it recorded, kept in the storage.

It is what survives a crash. What is recorded must never be older than the word says, nor
the word older than its end; the rare call for which that would be so waits for a new word.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Final

import structlog

from shared.ports.clock import Clock
from shared.ports.lifecycle import Watermark, WatermarkRepository
from shared.runtime.event_ledger import EventLedger

WORD: Final = timedelta(seconds=15)
"""So long a word holds. Recording stops short of its end by a third."""

log = structlog.get_logger(__name__)


class EventWord:
    """Gives and renews the word that an EventLedger allows. Every method may raise Unavailable."""

    def __init__(
        self,
        ledger: EventLedger,
        marks: WatermarkRepository,
        clock: Clock,
        name: str,
        retention: timedelta,
    ) -> None:
        self._ledger = ledger
        self._marks = marks
        self._clock = clock
        self._name = name
        self._retention = retention
        self._saving = asyncio.Lock()
        self._given: Watermark | None = None
        self._highest: datetime | None = None
        self._revision = 0

    async def cover(self, earliest: datetime) -> None:
        """Return once the word that is stored allows to record something of that instant."""
        while not self._covers(earliest):
            await self._give(unless=earliest)

    async def renew(self) -> None:
        """Give the word anew."""
        await self._give()

    async def end(self) -> None:
        """Take the word back if it is kept, and otherwise leave it to the schedulers, at once."""
        if self._given is None:
            return
        if self._ledger.is_clear:
            await self._marks.remove(self._name)
        else:
            await self._give(timedelta())

    async def hand_over_gap(self) -> None:
        """Leave a gap to the schedulers: as the watermark of a publisher that is gone."""
        now = self._clock.now()
        gap = self._ledger.settled_gap(now)
        if gap is None:
            return
        log.warning("events.left_to_storage", since=gap.start.isoformat())
        orphan = f"{self._name}/{self._revision}"
        await self._marks.save(Watermark(orphan, gap.start, now, 1, self._retention))
        self._ledger.handed_over(gap)

    def _covers(self, earliest: datetime) -> bool:
        if self._given is None or self._highest is None or earliest < self._highest:
            return False
        return self._clock.now() < self._given.beat_until - WORD / 3

    async def _give(self, length: timedelta = WORD, *, unless: datetime | None = None) -> None:
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
            self._given, self._highest = word, until
