"""Kafka settings for tests: one broker, a topic prefix of one's own."""

from datetime import timedelta

from shared.adapters.kafka.settings import KafkaSettings
from shared.contracts.topics import Topics
from tests.support.servers import brokers


def kafka_settings(broker: str, prefix: str, address: str | None = None) -> KafkaSettings:
    embedded = broker == "tansu"
    return KafkaSettings(
        bootstrap_servers=address or brokers()[broker],
        client_id="tests",
        topics=Topics(f"{prefix}-"),
        partitions=4,
        replication_factor=1,
        idempotent=not embedded,
        fetch_max_wait=timedelta(milliseconds=10 if embedded else 500),
        watch_interval=timedelta(milliseconds=500),
    )
