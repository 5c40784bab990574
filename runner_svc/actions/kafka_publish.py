"""The action `kafka-publish`: one message, kept by all replicas in sync, at least once.

The producers are not idempotent ones, on any broker. Such a producer of aiokafka
never gives a message up (https://github.com/aio-libs/aiokafka/issues/1101), so
one that was reported as failed could still go out whenever the broker returns;
and what it saves from doubling is told apart by the header `idempotency-key`
anyway. A plain one forgets a message after its request timeout, and works on
the embedded broker too.

The cluster `default` is the platform's own brokers, as that is what most
installations have, but the platform's own topics are closed: a message in them
could start, cancel or confuse executions. Another cluster gets none of the
platform's credentials.
"""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerClosed
from aiokafka.structs import RecordMetadata
from pydantic import JsonValue

from runner_svc.actions.kafka_errors import failure
from shared.domain.data_actions import KEY_HEADER, KafkaPublishAction
from shared.domain.instants import format_instant
from shared.ports.actions import ActionContext, ActionError, PermanentError
from shared.ports.clock import Clock

SEND_LIMIT: Final = timedelta(seconds=30)
_MILLISECOND: Final = timedelta(milliseconds=1)
_REQUEST_LIMIT: Final = timedelta(seconds=10)
_LONGEST: Final = 1000
_LARGEST_REQUEST: Final = 16 * 2**20
"""More than any input may have: which message is too large is for the broker to say."""


@dataclass(frozen=True, slots=True)
class KafkaCluster:
    """How to reach a cluster (what aiokafka's clients take), and the topics closed to actions."""

    connection: Mapping[str, Any] = field(repr=False)  # a password may be in it
    closed_topics: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Line:
    """The one producer of a cluster; the lock lets one action start it while others wait."""

    producer: AIOKafkaProducer | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class KafkaActionPublisher:
    """Runs `kafka-publish` actions, one producer per cluster; use it as a context manager.

    A producer is started by the first action that needs it. `limit` is how long
    one message may take altogether, the start included.
    """

    def __init__(
        self, clusters: Mapping[str, KafkaCluster], clock: Clock, limit: timedelta = SEND_LIMIT
    ) -> None:
        self._clusters = clusters
        self._clock = clock
        self._limit = limit
        self._lines = {name: _Line() for name in clusters}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for line in self._lines.values():
            await self._drop(line)

    async def run(self, params: KafkaPublishAction, context: ActionContext) -> JsonValue:
        """Publish the message and return where it is: topic, partition, offset, timestamp.

        Raises ActionError: recoverable while the broker or the topic is away,
        permanent for a message or a topic that no attempt could get through.
        """
        self._check(params)
        value, headers = _value(params.value), _headers(params, context)
        try:
            async with asyncio.timeout(self._limit.total_seconds()):
                sent = await self._send(params, value, headers)
        except KafkaError as error:
            raise failure(error, params.topic, params.cluster) from None
        except (OSError, TimeoutError) as error:
            why = str(error) or f"no answer within {self._limit.total_seconds():g} s"
            raise ActionError(f"Kafka cluster '{params.cluster}': {why}") from None
        return _output(sent)

    def _check(self, params: KafkaPublishAction) -> None:
        cluster = self._clusters.get(params.cluster)
        if cluster is None:
            known = ", ".join(f"'{name}'" for name in sorted(self._clusters))[:_LONGEST] or "none"
            raise PermanentError(
                f"there is no Kafka cluster '{params.cluster}'; known: {known}. "
                f"Set KAFKA_CONNECTION_{params.cluster.upper()} on the runner to host:port,…"
            )
        if params.topic in cluster.closed_topics:
            raise PermanentError(f"the topic '{params.topic}' is the platform's own")

    async def _send(
        self, params: KafkaPublishAction, value: bytes, headers: list[tuple[str, bytes]]
    ) -> RecordMetadata:
        line = self._lines[params.cluster]
        producer = await self._producer(params.cluster, line)
        key = None if params.message_key is None else _encoded(params.message_key, "key")
        try:
            return await producer.send_and_wait(
                params.topic,
                value,
                key=key,
                headers=headers,
                timestamp_ms=round(self._clock.now().timestamp() * 1000),
            )
        except KafkaError as error:
            # An error without a kind of its own means that the producer has come to its end.
            if type(error) in {KafkaError, ProducerClosed} and line.producer is producer:
                await self._drop(line)
            raise

    async def _producer(self, cluster: str, line: _Line) -> AIOKafkaProducer:
        async with line.lock:
            if line.producer is None:
                line.producer = await self._started(self._clusters[cluster])
            return line.producer

    async def _started(self, cluster: KafkaCluster) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **{**cluster.connection, "request_timeout_ms": _REQUEST_LIMIT // _MILLISECOND},
            acks="all",
            enable_idempotence=False,
            linger_ms=0,
            max_request_size=_LARGEST_REQUEST,
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer

    async def _drop(self, line: _Line) -> None:
        """Stop the producer, which first waits for what is under way, if not for long."""
        producer, line.producer = line.producer, None
        if producer is not None:
            with suppress(KafkaError, OSError, TimeoutError):
                async with asyncio.timeout(self._limit.total_seconds()):
                    await producer.stop()


def _value(value: JsonValue) -> bytes:
    if isinstance(value, str):
        return _encoded(value, "value")
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise PermanentError(f"'value' is not JSON: {error}") from None
    return _encoded(text, "value")


def _headers(params: KafkaPublishAction, context: ActionContext) -> list[tuple[str, bytes]]:
    given = [(name, _encoded(value, "headers")) for name, value in params.headers.items()]
    return [*given, (KEY_HEADER, context.idempotency_key.encode())]


def _encoded(text: str, field: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        said = f"'{field}' has a lone surrogate, which is no Unicode text"
        raise PermanentError(said) from None


def _output(sent: RecordMetadata) -> JsonValue:
    at = datetime.fromtimestamp(sent.timestamp / 1000, UTC)
    return {
        "topic": sent.topic,
        "partition": sent.partition,
        "offset": sent.offset,
        "timestamp": format_instant(at),
    }
