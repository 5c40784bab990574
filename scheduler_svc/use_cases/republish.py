"""Publishing from storage what a process recorded and could not publish itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from scheduler_svc.metrics import SchedulerMetrics
from shared.domain.execution import Execution
from shared.domain.lifecycle import lifecycle_of
from shared.ports.clock import Clock
from shared.ports.lifecycle import (
    EventPublisher,
    ExecutionArchive,
    Watermark,
    WatermarkRepository,
)

log = structlog.get_logger(__name__)
TURN: Final = timedelta(seconds=30)
"""So long nobody else takes over what was taken over; it is prolonged while that goes on."""

_MOST: Final = 100
_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class RepublishEvents:
    """Takes over the watermarks of processes that are gone, and makes their words true.

    Every lifecycle event since the earliest of them is published, whoever recorded it:
    twice is harmless. One pass over the storage serves all. Raises Unavailable; the
    watermarks stay then, and lapse again.
    """

    marks: WatermarkRepository
    archive: ExecutionArchive
    publisher: EventPublisher
    clock: Clock
    metrics: SchedulerMetrics

    async def __call__(self) -> int:
        """Return how many watermarks were settled."""
        lapsed = await self.marks.lapsed(self.clock.now(), _MOST)
        taken = await self._take_over(lapsed)
        retention = await self.marks.shortest_retention() if taken else None
        if retention is None:
            return 0
        since = min(mark.published_until for mark in taken)
        count = 0
        async for page in self.archive.touched(since, retention):
            count += await self._publish(page, since)
            taken = await self._prolong(taken)
        for mark in taken:
            await self.marks.settle(mark)
        log.info("events.republished", count=count, since=since.isoformat(), publishers=len(lapsed))
        return len(taken)

    async def _take_over(self, marks: Sequence[Watermark]) -> list[Watermark]:
        until = self.clock.now() + TURN
        taken = [await self.marks.take_over(mark, until) for mark in marks]
        return [mark for mark in taken if mark is not None]

    async def _prolong(self, taken: list[Watermark]) -> list[Watermark]:
        """Keep what was taken over; one whose publisher came back is its own business again."""
        if any(mark.beat_until - self.clock.now() < TURN / 2 for mark in taken):
            return await self._take_over(taken)
        return taken

    async def _publish(self, executions: Sequence[Execution], since: datetime) -> int:
        events = [event for e in executions for event in lifecycle_of(e, since)]
        for start in range(0, len(events), _BATCH):
            await self.publisher.publish_events(events[start : start + _BATCH])
        self.metrics.republished.inc(len(events))
        return len(events)
