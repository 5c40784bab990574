"""A subscriber as anybody might write one: a plain consumer of the topic of lifecycle events."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from pydantic_core import from_json

from shared.contracts.lifecycle import ExecutionEvent
from tests.support.waiting import PATIENCE, eventually


@dataclass
class EventTap:
    """Reads a topic from its beginning and keeps every message."""

    consumer: AIOKafkaConsumer
    records: list["ConsumerRecord[bytes, bytes]"] = field(default_factory=list)

    async def read(self) -> list[ExecutionEvent]:
        """Return everything that came so far, each message checked against its schema."""
        batches = await self.consumer.getmany(timeout_ms=100)
        self.records += [record for part in batches.values() for record in part]
        return [ExecutionEvent.model_validate_json(r.value or b"") for r in self.records]

    async def of(self, execution_id: str) -> list[ExecutionEvent]:
        """Return the events of one execution, repeats dropped, as a subscriber orders them."""
        found = {e.id: e for e in await self.read() if e.subject == execution_id}
        return sorted(found.values(), key=lambda event: event.data.seq)

    async def milestones(self, execution_id: str) -> list[str]:
        """Return what happened to an execution, by the last part of the type."""
        return [event.type.split(".")[2] for event in await self.of(execution_id)]

    async def ends(self, execution_id: str) -> list[str]:
        """Wait for the event that ends an execution; return all of its milestones."""
        ends = {"completed", "failed", "cancelled", "skipped"}
        await eventually(lambda: self.milestones(execution_id), ends.intersection)
        return await self.milestones(execution_id)

    async def hears(self, ids: set[str], within: float = PATIENCE) -> None:
        """Wait until events with all these ids came; keeps none of the messages."""
        missing = set(ids)

        async def left() -> int:
            batches = await self.consumer.getmany(timeout_ms=500)
            for record in (record for part in batches.values() for record in part):
                missing.discard(from_json(record.value or b"")["id"])
            return len(missing)

        try:
            await eventually(left, lambda count: count == 0, within=within, every=0)
        except AssertionError as error:
            raise AssertionError(f"{len(missing)} of {len(ids)}: {sorted(missing)[:5]}") from error

    def decoded(self) -> list[dict[str, Any]]:
        """Return what came so far as plain JSON."""
        return [json.loads(record.value or b"") for record in self.records]


@asynccontextmanager
async def event_tap(servers: str, topic: str, start: str = "earliest") -> AsyncIterator[EventTap]:
    """Subscribe to a topic from its beginning, or from now on (`latest`)."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset=start)
    await consumer.start()
    try:
        for partition in consumer.assignment():
            await consumer.position(partition)
        yield EventTap(consumer)
    finally:
        await consumer.stop()
