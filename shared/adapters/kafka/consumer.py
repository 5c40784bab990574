"""A Kafka consumer that notices when its broker lost its messages, and starts anew.

A broker that comes back empty has lower offsets than the consumer's position.
Some brokers never say so and deliver nothing; aiokafka has hung after such a
reset as well. So every few seconds the position is compared with the end of the
log, as the last fetch told it: a consumer that is ahead of the end goes back to
the beginning, and one that stands still while there is something to read is
replaced.
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
        """Tell whether it is connected and, if it has a group, a member of it."""
        return self._consumer is not None

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
            except BaseException:
                await consumer.stop()
                raise
        return consumer

    async def _check(self, consumer: AIOKafkaConsumer) -> None:
        if await self._keeper.ensure():
            await self._rebuild("its topic was missing")
            return
        positions = await self._positions(consumer)
        ends = {tp: consumer.highwater(tp) for tp in positions}
        lost = [tp for tp, at in positions.items() if at > (at if ends[tp] is None else ends[tp])]
        if lost:
            log.warning("kafka.messages_lost", topic=self._topic, partitions=len(lost))
            with translated():
                await consumer.seek_to_beginning(*lost)
        waiting = any(at < (ends[tp] or 0) for tp, at in positions.items())
        if waiting and time.monotonic() - self._progressed > _STALLED_AFTER:
            await self._rebuild("nothing arrived although there was something to read")

    async def _positions(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
        """Return the offset of the next record by partition."""
        with translated():
            async with asyncio.timeout(self._settings.request_timeout.total_seconds()):
                return {tp: await consumer.position(tp) for tp in consumer.assignment()}

    async def _rebuild(self, reason: str) -> None:
        log.warning("kafka.consumer_rebuilt", topic=self._topic, reason=reason)
        await self._drop()

    async def _drop(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._stray.clear()
        if consumer is not None:
            await self._stop(consumer)

    async def _stop(self, consumer: AIOKafkaConsumer) -> None:
        """Stop a consumer in a task of its own: away from its broker it ends as if cancelled."""
        stopping = asyncio.ensure_future(consumer.stop())
        await asyncio.wait({stopping}, timeout=self._settings.request_timeout.total_seconds())
        if not stopping.done():
            stopping.cancel()
        elif not stopping.cancelled():
            with suppress(Unavailable), translated():
                stopping.result()
