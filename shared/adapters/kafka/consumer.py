"""A Kafka consumer that notices when its broker lost its messages, and starts anew.

A broker that comes back empty has lower offsets than the consumer's position.
Some brokers never say so and deliver nothing; aiokafka has hung after such a
reset as well. So the position is compared with the end of the log every few
seconds, and a consumer that is ahead of the end, or that stands still while
there is something to read, is replaced.
"""

import asyncio
import time
from collections import deque
from contextlib import suppress
from datetime import timedelta
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from shared.adapters.kafka.errors import translated
from shared.adapters.kafka.settings import KafkaSettings, milliseconds
from shared.adapters.kafka.topics import TopicKeeper
from shared.domain.errors import Unavailable

log = structlog.get_logger(__name__)

_STALLED_AFTER = 10.0
_Records = dict[TopicPartition, list[ConsumerRecord]]


class WatchedConsumer:
    """One consumer of one topic, replaced when it has lost touch. Used by one task only."""

    def __init__(self, settings: KafkaSettings, topic: str, **options: Any) -> None:
        self._settings = settings
        self._topic = topic
        self._options = options
        self._keeper = TopicKeeper(settings)
        self._consumer: AIOKafkaConsumer | None = None
        self._stray: deque[ConsumerRecord] = deque()
        self._checked = 0.0
        self._progressed = 0.0

    @property
    def is_joined(self) -> bool:
        """Tell whether it has been given partitions."""
        return self._consumer is not None and bool(self._consumer.assignment())

    async def records(self, limit: int, wait: timedelta) -> list[ConsumerRecord]:
        """Return up to `limit` records, none if `limit` is 0; Unavailable if out of reach."""
        consumer = await self._ready()
        with translated():
            found = await (self._take(consumer, limit, wait) if limit else self._hold(consumer))
        self._stray.extend(record for records in found.values() for record in records)
        if found or not limit:
            self._progressed = time.monotonic()
        return [self._stray.popleft() for _ in range(min(limit, len(self._stray)))]

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        """Commit offsets of partitions that are still assigned."""
        if self._consumer is None:
            return
        mine = {tp: at for tp, at in offsets.items() if tp in self._consumer.assignment()}
        if mine:
            with translated():
                await self._consumer.commit(mine)

    async def close(self) -> None:
        """Leave the group, if any, and disconnect."""
        await self._drop()
        await self._keeper.close()

    async def _take(self, consumer: AIOKafkaConsumer, limit: int, wait: timedelta) -> _Records:
        wanted = limit - len(self._stray)
        if wanted <= 0:
            return {}
        consumer.resume(*consumer.assignment())
        found: _Records = await consumer.getmany(
            timeout_ms=0 if self._stray else milliseconds(wait), max_records=wanted
        )
        return found

    async def _hold(self, consumer: AIOKafkaConsumer) -> _Records:
        """Poll without taking; partitions assigned a moment ago may still give a record."""
        consumer.pause(*consumer.assignment())
        found: _Records = await consumer.getmany(timeout_ms=0, max_records=1)
        return found

    async def _ready(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            await self._keeper.ensure()
            self._consumer = await self._start()
            self._checked = self._progressed = time.monotonic()
        elif time.monotonic() - self._checked > self._settings.watch_interval.total_seconds():
            await self._check(self._consumer)
            self._checked = time.monotonic()
        return await self._ready() if self._consumer is None else self._consumer

    async def _start(self) -> AIOKafkaConsumer:
        connection = self._settings.connection()
        connection["request_timeout_ms"] = milliseconds(self._settings.join_timeout)
        consumer = AIOKafkaConsumer(
            self._topic,
            **connection,
            **self._options,
            enable_auto_commit=False,
            fetch_max_wait_ms=milliseconds(self._settings.fetch_max_wait),
            session_timeout_ms=milliseconds(self._settings.session_timeout),
            heartbeat_interval_ms=milliseconds(self._settings.session_timeout) // 5,
            metadata_max_age_ms=10 * milliseconds(self._settings.watch_interval),
        )
        with translated():
            try:
                await consumer.start()
                await self._rewind(consumer)
            except BaseException:
                await consumer.stop()
                raise
        return consumer

    async def _rewind(self, consumer: AIOKafkaConsumer) -> None:
        """Offsets that were committed before the broker lost its messages lead nowhere."""
        at, ends = await self._positions(consumer)
        lost = [partition for partition, offset in at.items() if offset > ends[partition]]
        if lost:
            await consumer.seek_to_beginning(*lost)

    async def _positions(
        self, consumer: AIOKafkaConsumer
    ) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
        """Return where the consumer is and where the log ends, by partition."""
        partitions = list(consumer.assignment())
        if not partitions:
            return {}, {}
        async with asyncio.timeout(self._settings.request_timeout.total_seconds()):
            ends = await consumer.end_offsets(partitions)
            return {tp: await consumer.position(tp) for tp in partitions}, ends

    async def _check(self, consumer: AIOKafkaConsumer) -> None:
        reason = "its topic was missing" if await self._keeper.ensure() else None
        reason = reason or await self._lost_touch(consumer)
        if reason:
            log.warning("kafka.consumer_rebuilt", topic=self._topic, reason=reason)
            await self._drop()

    async def _lost_touch(self, consumer: AIOKafkaConsumer) -> str | None:
        with translated():
            at, ends = await self._positions(consumer)
        if any(at[partition] > ends[partition] for partition in at):
            return "the broker lost its messages"
        waiting = any(at[partition] < ends[partition] for partition in at)
        if waiting and time.monotonic() - self._progressed > _STALLED_AFTER:
            return "nothing arrived although there was something to read"
        return None

    async def _drop(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._stray.clear()
        if consumer is not None:
            with suppress(Unavailable, TimeoutError), translated():
                async with asyncio.timeout(self._settings.request_timeout.total_seconds()):
                    await consumer.stop()
