"""The action `kafka-publish` on every broker there is: what arrives, and what is refused."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    AuthenticationFailedError,
    InvalidTopicError,
    KafkaError,
    NotEnoughReplicasError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from pydantic import JsonValue

from local.processes import free_port
from runner_svc.actions.kafka_errors import failure
from runner_svc.actions.kafka_publish import KafkaActionPublisher, KafkaCluster
from shared.adapters.memory.clock import ManualClock
from shared.domain.data_actions import KafkaPublishAction
from shared.domain.instants import format_instant
from shared.ports.actions import ActionError
from tests.support.action_context import action_context
from tests.support.own_servers import own_broker
from tests.support.servers import brokers
from tests.support.waiting import PATIENCE, eventually

LIMIT = timedelta(seconds=3)
FAR_BEYOND = 30
"""Seconds within which the limit shows; the client by itself would wait for 40."""


@pytest.fixture
async def topic(broker: str, unique: str) -> str:
    """A topic of one partition."""
    await create(brokers()[broker], unique)
    return unique


async def create(address: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 1, 1)])
    finally:
        await admin.close()


@pytest.fixture
async def publisher(broker: str, clock: ManualClock) -> AsyncIterator[KafkaActionPublisher]:
    async with KafkaActionPublisher({"default": cluster(brokers()[broker])}, clock) as made:
        yield made


def cluster(address: str, *closed: str) -> KafkaCluster:
    return KafkaCluster({"bootstrap_servers": address}, frozenset(closed))


def action(topic: str, **fields: Any) -> KafkaPublishAction:
    return KafkaPublishAction.model_validate({"type": "kafka-publish", "topic": topic, **fields})


async def refusal(publisher: KafkaActionPublisher, params: KafkaPublishAction) -> ActionError:
    with pytest.raises(ActionError) as raised:
        await publisher.run(params, action_context("key"))
    return raised.value


@asynccontextmanager
async def reading(address: str, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=address, auto_offset_reset="earliest", fetch_max_wait_ms=50
    )
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def messages(broker: str, topic: str, count: int) -> list[ConsumerRecord]:
    async with reading(brokers()[broker], topic) as consumer, asyncio.timeout(PATIENCE):
        return [await consumer.getone() for _ in range(count)]


async def test_a_message_arrives_with_its_key_headers_and_idempotency_key(
    broker: str, topic: str, publisher: KafkaActionPublisher, clock: ManualClock
) -> None:
    params = action(topic, key="customer-7", value={"n": [1, "ä", None]}, headers={"a": "ö"})
    told = await publisher.run(params, action_context("execution:action"))
    at = format_instant(clock.now())
    assert told == {"topic": topic, "partition": 0, "offset": 0, "timestamp": at}
    (message,) = await messages(broker, topic, 1)
    assert message.key == b"customer-7"
    assert json.loads(message.value) == {"n": [1, "ä", None]}
    assert message.headers == (
        ("a", "ö".encode()),
        ("idempotency-key", b"execution:action"),
    )


@pytest.mark.parametrize(
    ("value", "sent"),
    [("plain ä", "plain ä".encode()), ("", b""), (None, b"null"), (7, b"7"), (["a"], b'["a"]')],
)
async def test_text_is_sent_as_it_is_and_the_rest_as_json(
    broker: str, topic: str, publisher: KafkaActionPublisher, value: JsonValue, sent: bytes
) -> None:
    await publisher.run(action(topic, value=value), action_context("key"))
    (message,) = await messages(broker, topic, 1)
    assert (message.key, message.value) == (None, sent)


async def test_a_repeated_action_sends_the_same_idempotency_key(
    broker: str, topic: str, publisher: KafkaActionPublisher
) -> None:
    told = [await publisher.run(action(topic, value=1), action_context("key")) for _ in range(2)]
    assert [place["offset"] for place in told if isinstance(place, dict)] == [0, 1]
    keys = {message.headers for message in await messages(broker, topic, 2)}
    assert keys == {(("idempotency-key", b"key"),)}


async def test_many_actions_share_a_producer(
    broker: str, topic: str, publisher: KafkaActionPublisher
) -> None:
    await asyncio.gather(
        *(publisher.run(action(topic, value=n), action_context(str(n))) for n in range(50))
    )
    sent = await messages(broker, topic, 50)
    assert sorted(int(message.value) for message in sent) == list(range(50))


async def test_a_message_beyond_what_the_topic_takes_is_permanent(
    broker: str, topic: str, publisher: KafkaActionPublisher
) -> None:
    if broker != "kafka":
        pytest.skip("the embedded broker has no limit of its own")
    error = await refusal(publisher, action(topic, value="x" * 2 * 2**20))
    assert not error.retryable
    assert f"larger than the topic '{topic}' takes" in str(error)
    # The producer goes on.
    await publisher.run(action(topic, value="small"), action_context("key"))


async def test_what_cannot_be_encoded_is_permanent(
    topic: str, publisher: KafkaActionPublisher
) -> None:
    for fields in ({"value": "\ud800"}, {"value": {"a": "\ud800"}}):
        error = await refusal(publisher, action(topic, **fields))
        assert not error.retryable
        assert "lone surrogate" in str(error)


async def test_a_topic_of_the_platform_is_closed(clock: ManualClock) -> None:
    closed = {"default": cluster("127.0.0.1:1", "notices")}
    async with KafkaActionPublisher(closed, clock) as publisher:
        error = await refusal(publisher, action("notices"))
    assert not error.retryable
    assert str(error) == "the topic 'notices' is the platform's own"


async def test_an_unknown_cluster_names_the_known_ones_and_the_variable(
    clock: ManualClock,
) -> None:
    clusters = {name: cluster("127.0.0.1:1") for name in ("west", "default")}
    async with KafkaActionPublisher(clusters, clock) as publisher:
        error = await refusal(publisher, action("t", cluster="east"))
    assert not error.retryable
    assert "no Kafka cluster 'east'; known: 'default', 'west'" in str(error)
    assert "KAFKA_CONNECTION_EAST" in str(error)


async def test_a_broker_that_is_away_is_retryable_within_the_time_limit(
    clock: ManualClock,
) -> None:
    away = {"default": cluster(f"127.0.0.1:{free_port()}")}
    loop = asyncio.get_running_loop()
    async with KafkaActionPublisher(away, clock, LIMIT) as publisher:
        started = loop.time()
        errors = await asyncio.gather(*(refusal(publisher, action("t")) for _ in range(5)))
        assert loop.time() - started < FAR_BEYOND
    assert all(error.retryable for error in errors)
    assert "Kafka cluster 'default': " in str(errors[0])


async def test_a_broker_that_answers_nothing_is_retryable_within_the_time_limit(
    clock: ManualClock,
) -> None:
    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(listen, "127.0.0.1", 0)
    loop = asyncio.get_running_loop()
    async with silent:
        address = f"127.0.0.1:{silent.sockets[0].getsockname()[1]}"
        async with KafkaActionPublisher({"default": cluster(address)}, clock, LIMIT) as publisher:
            started = loop.time()
            error = await refusal(publisher, action("t"))
            assert loop.time() - started < FAR_BEYOND
    assert error.retryable
    assert str(error) == "Kafka cluster 'default': no answer within 3 s"


async def test_a_missing_topic_is_retryable_within_the_time_limit(
    broker: str, unique: str, clock: ManualClock
) -> None:
    if broker != "kafka":
        pytest.skip("the embedded broker creates a topic that is asked for")
    at = {"default": cluster(brokers()[broker])}
    async with KafkaActionPublisher(at, clock, LIMIT) as publisher:
        error = await refusal(publisher, action(unique))
        assert error.retryable
        await create(brokers()[broker], unique)
        await eventually(lambda: published(publisher, unique))
    (message,) = await messages(broker, unique, 1)
    assert message.value == b"3"


async def test_a_publisher_outlives_its_broker(
    broker: str, unique: str, clock: ManualClock
) -> None:
    with own_broker(broker) as own:
        await own.start()
        await create(own.address, unique)
        async with KafkaActionPublisher({"default": cluster(own.address)}, clock, LIMIT) as made:
            await eventually(lambda: published(made, unique))
            await own.kill()
            error = await refusal(made, action(unique, value=2))
            assert error.retryable
            await own.start()
            await eventually(lambda: created(own.address, unique))
            await eventually(lambda: published(made, unique))


async def created(address: str, topic: str) -> bool:
    try:
        await create(address, topic)
    except KafkaError:
        return False
    return True


async def published(publisher: KafkaActionPublisher, topic: str) -> bool:
    try:
        await publisher.run(action(topic, value=3), action_context("3"))
    except ActionError:
        return False
    return True


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (UnknownTopicOrPartitionError(), True),
        (NotEnoughReplicasError(), True),
        (KafkaError(), True),
        (InvalidTopicError(), False),
        (TopicAuthorizationFailedError("t"), False),
        (AuthenticationFailedError("x"), False),
    ],
)
def test_only_what_may_pass_is_retryable(error: KafkaError, *, retryable: bool) -> None:
    told = failure(error, "the-topic", "default")
    assert told.retryable == retryable
    assert "Kafka cluster 'default': " in str(told)
