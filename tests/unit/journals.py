"""A journal of lifecycle events on memory, with a bus that can be away."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from prometheus_client import CollectorRegistry

from shared.adapters.memory.clock import ManualClock
from shared.adapters.memory.executions import MemoryExecutions
from shared.adapters.memory.lifecycle import MemoryWatermarks
from shared.domain.lifecycle import LifecycleEvent
from shared.ports.lifecycle import Watermark
from shared.runtime.event_journal import EventJournal
from shared.runtime.event_metrics import EventMetrics
from shared.runtime.publishing_executions import PublishingExecutions
from tests.unit.doubles import Faults, FaultyExecutions, FlakyBus, away

RETENTION = timedelta(days=1)


class FlakyEvents(FlakyBus):
    """A bus that takes no lifecycle events while it is away."""

    async def publish_events(self, events: Sequence[LifecycleEvent]) -> None:
        self._check()
        await super().publish_events(events)

    @property
    def told(self) -> list[str]:
        """The ids of the events that were taken."""
        return [event["id"] for event in self.decoded]

    @property
    def decoded(self) -> list[dict[str, Any]]:
        """The events that were taken."""
        return [json.loads(value) for _, value in self.events]


class FlakyWatermarks(MemoryWatermarks):
    """Watermarks that cannot be saved while the storage is away."""

    away = False
    saved = 0

    async def save(self, mark: Watermark) -> None:
        if self.away:
            raise away()
        self.saved += 1
        await super().save(mark)


@dataclass
class Writer:
    """One process that records and publishes, and what surrounds it."""

    clock: ManualClock
    bus: FlakyEvents
    marks: FlakyWatermarks
    stored: MemoryExecutions
    journal: EventJournal
    executions: PublishingExecutions
    counters: CollectorRegistry

    @property
    def mark(self) -> Watermark:
        return self.marks.by_publisher["writer"]


def writer(clock: ManualClock, *, faults: Faults | None = None, capacity: int = 1000) -> Writer:
    bus, marks, stored = FlakyEvents(clock), FlakyWatermarks(), MemoryExecutions()
    counters = CollectorRegistry()
    journal = EventJournal(bus, marks, clock, EventMetrics(counters), "writer", RETENTION, capacity)
    seen = FaultyExecutions(stored, faults or Faults())
    executions = PublishingExecutions(seen, journal)
    return Writer(clock, bus, marks, stored, journal, executions, counters)
