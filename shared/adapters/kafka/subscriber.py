"""Receiving from Kafka: requests as a member of the runners' group, notices for oneself."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from aiokafka import ConsumerRecord, TopicPartition

from shared.adapters.kafka.consumer import WatchedConsumer
from shared.adapters.kafka.settings import KafkaSettings
from shared.contracts.notices import decode_notice
from shared.contracts.requests import decode_request
from shared.domain.errors import Unavailable
from shared.ports.bus import Delivery, Notice, Record

_MAX_NOTICES = 500
_NOTICE_WAIT = timedelta(milliseconds=100)
"""A notice may be this late; asking more often would cost an idle machine for nothing."""

_LAST_MILLISECOND = 253_402_300_799_000


class KafkaRequestSubscriber:
    """The RequestSubscriber of production."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._consumer = WatchedConsumer(
            settings,
            settings.topics.requests,
            group_id=settings.topics.group,
            auto_offset_reset="earliest",
        )

    async def check(self) -> None:
        """Raise Unavailable until the group has been joined."""
        if not self._consumer.is_joined:
            raise Unavailable("Kafka", "the runners' group has not been joined yet")

    async def fetch(self, limit: int, wait: timedelta) -> list[Delivery]:
        """See RequestSubscriber.fetch."""
        records = await self._consumer.records(limit, wait)
        return [decode_request(_record(record)) for record in records]

    async def commit(self, deliveries: Sequence[Delivery]) -> None:
        """See RequestSubscriber.commit."""
        offsets: dict[TopicPartition, int] = {}
        for delivery in deliveries:
            record = delivery.record
            partition = TopicPartition(record.topic, record.partition)
            offsets[partition] = max(offsets.get(partition, 0), record.offset + 1)
        await self._consumer.commit(offsets)

    async def close(self) -> None:
        """Leave the group."""
        await self._consumer.close()


class KafkaNoticeSubscriber:
    """The NoticeSubscriber of production: no group, from the end of the topic on."""

    def __init__(self, settings: KafkaSettings) -> None:
        patient = replace(settings, fetch_max_wait=max(settings.fetch_max_wait, _NOTICE_WAIT))
        self._consumer = WatchedConsumer(
            patient, settings.topics.notices, group_id=None, auto_offset_reset="latest"
        )

    async def fetch(self, wait: timedelta) -> list[Notice]:
        """See NoticeSubscriber.fetch."""
        found = await self._consumer.records(_MAX_NOTICES, wait)
        notices = [decode_notice(record.value) for record in found if record.value]
        return [notice for notice in notices if notice is not None]

    async def close(self) -> None:
        """Disconnect."""
        await self._consumer.close()


def _record(record: ConsumerRecord) -> Record:
    return Record(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=_instant(record.timestamp),
        key=record.key,
        value=record.value or b"",
    )


def _instant(milliseconds: int) -> datetime:
    """Return a record's timestamp; its producer may have set anything."""
    return datetime.fromtimestamp(min(max(milliseconds, 0), _LAST_MILLISECOND) / 1000, UTC)
