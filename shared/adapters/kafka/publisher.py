"""Sending to Kafka: requests, notices, lifecycle events and dead letters over one producer."""

import asyncio
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    UnknownProducerId,
)

from shared.adapters.kafka.batches import send_keyed
from shared.adapters.kafka.errors import translated
from shared.adapters.kafka.settings import KafkaSettings, milliseconds
from shared.adapters.kafka.topics import TopicKeeper
from shared.contracts.lifecycle import encode_event
from shared.contracts.notices import encode_notice
from shared.contracts.requests import encode_request
from shared.domain.errors import Unavailable
from shared.domain.instants import format_instant
from shared.domain.lifecycle import LifecycleEvent
from shared.ports.bus import ExecutionRequest, Notice, Record
from shared.ports.clock import Clock

log = structlog.get_logger(__name__)

_RECONNECT = timedelta(milliseconds=500)
_BATCH_BYTES = 2**18
_REFUSED_FOR_GOOD = (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    OutOfOrderSequenceNumber,
    ProducerFenced,
    UnknownProducerId,
)
"""What a broker says to all that an idempotent producer sends once its numbering is broken."""

_Message = tuple[bytes | None, bytes]


class KafkaPublisher:
    """All publishers of the bus in one.

    `run` keeps the connection: it connects as soon as there is a broker, and
    creates the topics anew when a broker comes back without them. Meanwhile
    every call raises Unavailable at once instead of waiting.
    """

    def __init__(self, settings: KafkaSettings, clock: Clock) -> None:
        self._settings = settings
        self._topics = settings.topics
        self._source = f"/{settings.client_id}"
        self._clock = clock
        self._keeper = TopicKeeper(settings)
        self._producer: AIOKafkaProducer | None = None
        self._trouble: str | None = "not connected yet"
        self._stopping: set[asyncio.Task[None]] = set()

    @property
    def trouble(self) -> str | None:
        """Why nothing can be sent now, or None."""
        return self._trouble

    async def check(self) -> None:
        """Raise Unavailable if nothing can be sent now."""
        self._connected()

    async def run(self) -> None:
        """Connect and stay connected, until cancelled."""
        while True:
            try:
                await self._watch_once()
            except Unavailable as error:
                if self._trouble is None:
                    log.warning("kafka.unavailable", reason=error.reason)
                self._trouble = error.reason
            pause = _RECONNECT if self._trouble else self._settings.watch_interval
            await asyncio.sleep(pause.total_seconds())

    async def close(self) -> None:
        """Send what is buffered and disconnect."""
        producer, self._producer = self._producer, None
        self._trouble = "closed"
        if producer is not None:
            await self._stop(producer)
        await asyncio.gather(*self._stopping)
        await self._keeper.close()

    async def publish(self, requests: Sequence[ExecutionRequest], *, spread: bool = False) -> None:
        """See RequestPublisher.publish."""
        messages = [
            (
                None if spread else request.workflow_id.encode(),
                encode_request(request, self._source),
            )
            for request in requests
        ]
        await self._send(self._topics.requests, messages)

    async def announce(self, notices: Sequence[Notice]) -> None:
        """See NoticePublisher.announce."""
        now = self._clock.now()
        messages: list[_Message] = [
            (None, encode_notice(notice, self._source, now, str(uuid.uuid4())))
            for notice in notices
        ]
        await self._send(self._topics.notices, messages)

    async def publish_events(self, events: Sequence[LifecycleEvent]) -> None:
        """See EventPublisher.publish_events."""
        messages = [(event.execution.workflow_id.encode(), encode_event(event)) for event in events]
        with self._sending() as producer:
            await send_keyed(producer, self._topics.events, messages)

    async def dead_letter(self, record: Record, reason: str) -> None:
        """See RecordPublisher.dead_letter."""
        headers = [
            ("reason", reason.encode()),
            ("topic", record.topic.encode()),
            ("partition", str(record.partition).encode()),
            ("offset", str(record.offset).encode()),
            ("timestamp", format_instant(record.timestamp).encode()),
        ]
        with self._sending() as producer:
            await producer.send_and_wait(
                self._topics.dead_letters, record.value, key=record.key, headers=headers
            )

    async def requeue(self, record: Record) -> None:
        """See RecordPublisher.requeue."""
        await self._send(record.topic, [(record.key, record.value)])

    async def _send(self, topic: str, messages: Sequence[_Message]) -> None:
        with self._sending() as producer:
            sent = [await producer.send(topic, value, key=key) for key, value in messages]
            await asyncio.gather(*sent)

    @contextmanager
    def _sending(self) -> Iterator[AIOKafkaProducer]:
        """Surround sending; replace a producer from which the broker takes nothing any more.

        An idempotent producer numbers its batches. Once one was given up, after a timeout
        say, the broker refuses every later one as out of order, for good.
        """
        producer = self._connected()
        try:
            with translated():
                yield producer
        except Unavailable as error:
            if isinstance(error.__cause__, _REFUSED_FOR_GOOD) and producer is self._producer:
                log.warning("kafka.producer_replaced", reason=error.reason)
                self._producer, self._trouble = None, error.reason
                stopping = asyncio.create_task(self._stop(producer))
                self._stopping.add(stopping)
                stopping.add_done_callback(self._stopping.discard)
            raise

    async def _stop(self, producer: AIOKafkaProducer) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.request_timeout.total_seconds()):
                await producer.stop()

    def _connected(self) -> AIOKafkaProducer:
        if self._producer is None or self._trouble is not None:
            raise Unavailable("Kafka", self._trouble or "not connected")
        return self._producer

    async def _watch_once(self) -> None:
        await self._keeper.ensure()
        if self._producer is None:
            self._producer = await self._connect()
        if self._trouble is not None:
            log.info("kafka.connected", bootstrap_servers=self._settings.bootstrap_servers)
        self._trouble = None

    async def _connect(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self._settings.connection(),
            acks="all",
            enable_idempotence=self._settings.idempotent,
            linger_ms=0,
            max_batch_size=_BATCH_BYTES,
            max_request_size=2 * 2**20,
            metadata_max_age_ms=10 * milliseconds(self._settings.watch_interval),
        )
        with translated():
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
        return producer
