"""Making sure the topics exist, at the start and after a broker lost them."""

import asyncio
from datetime import timedelta

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import for_code

from shared.adapters.kafka.errors import translated
from shared.adapters.kafka.settings import KafkaSettings
from shared.domain.errors import Unavailable

_ALREADY_EXISTS = 36
_CHECK_TIMEOUT = timedelta(seconds=5)

log = structlog.get_logger(__name__)


class TopicKeeper:
    """Creates what is missing.

    A broker that creates topics by itself may give them other partition counts,
    and consumers then miss messages, so nobody produces or consumes before
    `ensure` has returned.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._admin: AIOKafkaAdminClient | None = None

    async def ensure(self) -> bool:
        """Create missing topics and partitions; return whether anything was missing.

        Raises Unavailable when the broker does not answer within 5 s.
        """
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT.total_seconds()):
                with translated():
                    return await self._ensure()
        except (Unavailable, TimeoutError) as error:
            await self.close()
            if isinstance(error, TimeoutError):
                raise Unavailable("Kafka", "no answer within 5 s") from error
            raise

    async def close(self) -> None:
        """Close the connection; `ensure` opens it again."""
        admin, self._admin = self._admin, None
        if admin is not None:
            await admin.close()

    async def _ensure(self) -> bool:
        admin = await self._client()
        names = self._settings.topics
        wanted = {
            names.requests: self._settings.partitions,
            names.dead_letters: 1,
            names.notices: 1,
            names.events: self._settings.partitions,
        }
        have = await self._partitions(admin, list(wanted))
        missing = [name for name in wanted if not have.get(name)]
        if missing:
            await self._create(admin, {name: wanted[name] for name in missing})
        short = {name for name, count in have.items() if 0 < count < wanted[name]}
        if short:
            await admin.create_partitions({name: NewPartitions(wanted[name]) for name in short})
        return bool(missing or short)

    async def _client(self) -> AIOKafkaAdminClient:
        if self._admin is None:
            admin = AIOKafkaAdminClient(**self._settings.connection())
            try:
                await admin.start()
            except BaseException:
                await admin.close()
                raise
            self._admin = admin
        return self._admin

    async def _partitions(self, admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, int]:
        existing = set(await admin.list_topics()) & set(names)
        if not existing:
            return {}
        described = await admin.describe_topics(sorted(existing))
        return {topic["topic"]: len(topic["partitions"]) for topic in described}

    async def _create(self, admin: AIOKafkaAdminClient, wanted: dict[str, int]) -> None:
        topics = [
            NewTopic(name, partitions, self._settings.replication_factor)
            for name, partitions in wanted.items()
        ]
        response = await admin.create_topics(topics)
        for name, code, *_ in response.topic_errors:
            if code not in {0, _ALREADY_EXISTS}:
                raise for_code(code)(f"cannot create topic '{name}'")
        log.info("kafka.topics_created", topics=sorted(wanted))
