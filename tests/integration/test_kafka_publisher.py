"""The publisher against Apache Kafka, where producers number what they send."""

import asyncio

import pytest

from shared.adapters.kafka.publisher import KafkaPublisher
from shared.adapters.memory.clock import ManualClock
from shared.domain.errors import Unavailable
from shared.ports.bus import ExecutionRequest
from tests.support.builders import NOW
from tests.support.kafka import kafka_settings
from tests.support.servers import brokers
from tests.support.waiting import eventually

REQUEST = ExecutionRequest("e1", "default", "w1", NOW)


@pytest.mark.skipif("kafka" not in brokers(), reason="needs idempotent producers")
async def test_a_producer_that_the_broker_refuses_for_good_is_replaced(unique: str) -> None:
    settings = kafka_settings("kafka", unique)
    assert settings.idempotent
    publisher = KafkaPublisher(settings, ManualClock())
    running = asyncio.create_task(publisher.run())

    async def trouble() -> str | None:
        return publisher.trouble

    try:
        await eventually(trouble, lambda reason: reason is None)
        await publisher.publish([REQUEST])
        _lose_batches(publisher)
        with pytest.raises(Unavailable, match="OutOfOrderSequenceNumber"):
            await publisher.publish([REQUEST])
        await eventually(trouble, lambda reason: reason is None)
        await publisher.publish([REQUEST])
    finally:
        running.cancel()
        await publisher.close()


def _lose_batches(publisher: KafkaPublisher) -> None:
    """Count on as if batches had been sent that the broker never saw."""
    assert publisher._producer is not None
    numbers = publisher._producer._txn_manager._sequence_numbers
    for partition in list(numbers):
        numbers[partition] += 100
