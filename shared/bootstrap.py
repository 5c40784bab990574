"""The wiring that all services share: the clock, MongoDB and the way to Kafka."""

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import entry_points

import structlog
from prometheus_client import CollectorRegistry

from shared.adapters.kafka.publisher import KafkaPublisher
from shared.adapters.kafka.settings import KafkaSettings
from shared.adapters.mongo.connection import MongoConnection, MongoSettings
from shared.adapters.mongo.executions import MongoExecutions
from shared.adapters.mongo.lifecycle import MongoWatermarks
from shared.adapters.system.clock import SystemClock
from shared.contracts.topics import Topics
from shared.domain.actions import BUILT_IN_ACTIONS
from shared.domain.catalogue import ActionCatalogue
from shared.domain.errors import Misconfigured, Unavailable
from shared.ports.actions import ENTRY_POINT_GROUP, Action
from shared.ports.executions import ExecutionRepository
from shared.runtime.connecting import until_available
from shared.runtime.event_journal import EventJournal
from shared.runtime.event_metrics import EventMetrics
from shared.runtime.health import Health
from shared.runtime.publishing_executions import PublishingExecutions
from shared.runtime.settings import ServiceSettings

_CLOCK_INTERVAL = timedelta(seconds=60)
_GOODBYE_SECONDS = 2
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What a service works with, connected."""

    clock: SystemClock
    mongo: MongoConnection
    publisher: KafkaPublisher


@asynccontextmanager
async def connected(
    settings: ServiceSettings, service: str, health: Health, stop: asyncio.Event
) -> AsyncIterator[Dependencies]:
    """Connect to MongoDB, follow its clock, and keep a way to Kafka open.

    Waits for MongoDB, not for Kafka: what cannot be announced now is announced
    later, so a service is useful without a broker.
    """
    clock = SystemClock()
    mongo = MongoConnection(mongo_settings(settings), service)
    publisher = KafkaPublisher(kafka_settings(settings, service), clock)
    health.depends_on("mongodb", mongo.ping)
    health.depends_on("kafka", publisher.check)
    health.waiting_for("mongodb")
    background: list[asyncio.Task[None]] = []
    try:
        background.append(asyncio.create_task(publisher.run(), name="publisher"))
        await until_available("mongodb", mongo.open, stop)
        await clock.follow(mongo.server_time)
        background.append(asyncio.create_task(_follow(clock, mongo), name="clock"))
        yield Dependencies(clock, mongo, publisher)
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        with suppress(Unavailable):
            await publisher.close()
        await mongo.close()


@asynccontextmanager
async def published_executions(
    settings: ServiceSettings, dependencies: Dependencies, registry: CollectorRegistry
) -> AsyncIterator[ExecutionRepository]:
    """Give the repository of executions, which publishes what happens to them, if so set."""
    executions = MongoExecutions(dependencies.mongo.executions)
    if not settings.execution_events:
        yield executions
        return
    journal = EventJournal(
        dependencies.publisher,
        MongoWatermarks(dependencies.mongo),
        dependencies.clock,
        EventMetrics(registry),
        f"{socket.gethostname()}/{uuid.uuid4().hex}",
        settings.retention,
    )
    publishing = asyncio.create_task(journal.run(), name="events")
    try:
        yield PublishingExecutions(executions, journal)
    finally:
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await journal.close()


def mongo_settings(settings: ServiceSettings) -> MongoSettings:
    """Return what the MongoDB adapter needs."""
    return MongoSettings(
        settings.mongodb_uri.get_secret_value(),
        settings.mongodb_database,
        settings.mongodb_timeout,
    )


def kafka_settings(settings: ServiceSettings, client_id: str) -> KafkaSettings:
    """Return what the Kafka adapters need."""
    password = settings.kafka_sasl_password
    return KafkaSettings(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        client_id=client_id,
        topics=Topics(settings.kafka_topic_prefix),
        partitions=settings.kafka_partitions,
        replication_factor=settings.kafka_replication_factor,
        idempotent=settings.kafka_idempotent_producer,
        fetch_max_wait=settings.kafka_fetch_max_wait,
        session_timeout=settings.kafka_session_timeout,
        security_protocol=settings.kafka_security_protocol,
        sasl_mechanism=settings.kafka_sasl_mechanism,
        sasl_username=settings.kafka_sasl_username,
        sasl_password=password.get_secret_value() if password else None,
        ssl_ca_file=settings.kafka_ssl_ca_file,
    )


def installed_actions() -> list[Action]:
    """Return the actions that installed packages add through entry points."""
    actions = []
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        action = entry.load()
        if not isinstance(action, Action):
            raise Misconfigured(
                f"The entry point '{entry.name}' in the group '{ENTRY_POINT_GROUP}' must name an "
                f"Action; '{entry.value}' is a {type(action).__name__}."
            )
        actions.append(action)
    return actions


def installed_catalogue() -> ActionCatalogue:
    """Return the catalogue of every action a definition may name here."""
    return ActionCatalogue([*BUILT_IN_ACTIONS, *(action.spec for action in installed_actions())])


async def _follow(clock: SystemClock, mongo: MongoConnection) -> None:
    """Keep to the database's time; while it is away, the monotonic clock goes on by itself."""
    while True:
        await asyncio.sleep(_CLOCK_INTERVAL.total_seconds())
        try:
            difference = await clock.follow(mongo.server_time)
        except Unavailable as error:
            log.warning("clock.not_followed", why=error.reason)
            continue
        if abs(difference) > timedelta(milliseconds=100):
            log.warning("clock.adjusted", milliseconds=difference / timedelta(milliseconds=1))
