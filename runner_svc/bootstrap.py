"""Wires the runner service: the only file here that names adapters."""

import asyncio
import os
import random
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from runner_svc.actions.flow import flow_actions
from runner_svc.actions.http_request import HttpLimits, HttpRequester
from runner_svc.actions.kafka_publish import KafkaActionPublisher, KafkaCluster
from runner_svc.actions.log import LOG_LINE
from runner_svc.actions.mongodb import MongodbTransactor
from runner_svc.metrics import RunnerMetrics
from runner_svc.registry import ActionRegistry
from runner_svc.settings import RunnerSettings
from runner_svc.use_cases.call import MakeCall
from runner_svc.use_cases.claim import ClaimExecutions
from runner_svc.use_cases.definitions import Definitions
from runner_svc.use_cases.recorder import Recorder
from runner_svc.use_cases.run import RunExecution
from runner_svc.worker.inflight import InFlight
from runner_svc.worker.intake import Intake
from runner_svc.worker.renewal import CancellationListener, Renewal
from shared.adapters.cel.language import CelLanguage
from shared.adapters.kafka.subscriber import KafkaNoticeSubscriber, KafkaRequestSubscriber
from shared.adapters.mongo.operations import MongoDeadLetters
from shared.adapters.mongo.workflows import MongoWorkflows
from shared.bootstrap import (
    Dependencies,
    connected,
    installed_actions,
    installed_catalogue,
    kafka_settings,
    published_executions,
)
from shared.contracts.topics import Topics
from shared.domain.actions import HTTP_REQUEST, KAFKA_PUBLISH, MONGODB
from shared.domain.errors import Misconfigured
from shared.ports.actions import Action
from shared.ports.bus import ExecutionRequest, Notice
from shared.ports.executions import ExecutionRepository
from shared.runtime.health import Health, health_router
from shared.runtime.lifecycle import serve
from shared.runtime.outbox import Outbox
from shared.runtime.settings import check_servers

SERVICE: Final = "runner-svc"
_SECRET_PREFIX: Final = "SECRET_"  # noqa: S105 - the name of a prefix
_MONGODB_PREFIX: Final = "MONGODB_CONNECTION_"
_KAFKA_PREFIX: Final = "KAFKA_CONNECTION_"
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Runner:
    """The parts of a runner that its life cycle deals with."""

    intake: Intake
    in_flight: InFlight
    background: tuple[Callable[[], Coroutine[None, None, None]], ...]
    outboxes: tuple[Outbox[Notice] | Outbox[ExecutionRequest], ...]


async def run(settings: RunnerSettings) -> None:
    """Run the service until a signal ends it; not at all, if two actions have one name."""
    installed_catalogue()
    health = Health()
    registry = CollectorRegistry()
    app = FastAPI(title="Runner", version="1")
    app.include_router(health_router(health, registry))
    metrics = RunnerMetrics(registry)

    async def work(stop: asyncio.Event) -> None:
        async with (
            connected(settings, SERVICE, health, stop) as dependencies,
            published_executions(settings, dependencies, registry) as executions,
            _runner(settings, dependencies, executions, metrics, health, stop) as runner,
        ):
            health.started()
            async with asyncio.TaskGroup() as group:
                background = [group.create_task(part()) for part in runner.background]
                await runner.intake.run(stop)
                await _drain(runner, settings)
                for task in background:
                    task.cancel()

    await serve(app, settings.host, settings.port, work)


async def _drain(runner: Runner, settings: RunnerSettings) -> None:
    """Let work under way end; what does not end in time is given back to the queue."""
    log.info("runner.draining", executions=len(runner.in_flight.ids))
    if not await runner.in_flight.wait_until_empty(settings.drain):
        log.warning("runner.giving_back", executions=len(runner.in_flight.ids))
        runner.in_flight.abort_all()
        await runner.in_flight.wait_until_empty(settings.drain)
    with suppress(TimeoutError):
        async with asyncio.timeout(settings.drain.total_seconds()):
            for outbox in runner.outboxes:
                await outbox.flush()


@asynccontextmanager
async def _runner(
    settings: RunnerSettings,
    dependencies: Dependencies,
    executions: ExecutionRepository,
    metrics: RunnerMetrics,
    health: Health,
    stop: asyncio.Event,
) -> AsyncIterator[Runner]:
    async with AsyncExitStack() as stack:
        built_in = await _built_in(settings, dependencies, stack)
        registry = ActionRegistry([*built_in, *installed_actions()])
        kafka = kafka_settings(settings, SERVICE)
        subscriber = KafkaRequestSubscriber(kafka)
        stack.push_async_callback(subscriber.close)
        notices = KafkaNoticeSubscriber(kafka)
        stack.push_async_callback(notices.close)
        health.depends_on("runners' group", subscriber.check)
        yield _assemble(
            settings, dependencies, executions, metrics, registry, subscriber, notices, stop
        )


def _assemble(  # noqa: PLR0913 - it is where everything meets
    settings: RunnerSettings,
    dependencies: Dependencies,
    executions: ExecutionRepository,
    metrics: RunnerMetrics,
    registry: ActionRegistry,
    subscriber: KafkaRequestSubscriber,
    notices: KafkaNoticeSubscriber,
    stop: asyncio.Event,
) -> Runner:
    clock, mongo, publisher = dependencies.clock, dependencies.mongo, dependencies.publisher
    timing, owner = settings.timing, f"{socket.gethostname()}/{uuid.uuid4().hex[:12]}"
    recorder = Recorder(executions, metrics, settings.runner_batch)
    in_flight = InFlight(settings.runner_concurrency, metrics.in_flight)
    wakes: Outbox[Notice] = Outbox("notices", publisher.announce, metrics.dropped_wakeups)
    requests: Outbox[ExecutionRequest] = Outbox(
        "requests", partial(publisher.publish, spread=True), metrics.dropped_wakeups
    )
    renewal = Renewal(
        executions, in_flight, clock, metrics, owner, settings.lease, settings.lease_renewal
    )
    intake = Intake(
        subscriber=subscriber,
        claim=ClaimExecutions(
            executions,
            MongoDeadLetters(mongo),
            publisher,
            clock,
            timing,
            metrics,
            owner,
            lambda: uuid.uuid4().hex,
        ),
        definitions=Definitions(MongoWorkflows(mongo, registry.catalogue)),
        run_execution=RunExecution(
            make_call=MakeCall(registry, CelLanguage(), clock, _environment(settings)),
            recorder=recorder,
            clock=clock,
            timing=timing,
            metrics=metrics,
            spread=random.random,
            is_stopping=stop.is_set,
            announce=wakes.put,
            request=requests.put,
        ),
        in_flight=in_flight,
        clock=clock,
        batch=settings.runner_batch,
    )
    listener = CancellationListener(notices, in_flight)
    background = (recorder.run, renewal.run, listener.run, wakes.run, requests.run)
    return Runner(intake, in_flight, background, (wakes, requests))


def _environment(settings: RunnerSettings) -> dict[str, str]:
    """Return what expressions may read of the environment."""
    return {name: os.environ[name] for name in settings.expression_names if name in os.environ}


async def _built_in(
    settings: RunnerSettings, dependencies: Dependencies, stack: AsyncExitStack
) -> list[Action]:
    """Return the built-in actions; what they hold is released with the stack."""
    requester = await stack.enter_async_context(_requester(settings, dependencies))
    transactor = await stack.enter_async_context(
        MongodbTransactor(
            connections(os.environ, _MONGODB_PREFIX), dependencies.clock, settings.retention
        )
    )
    publisher = await stack.enter_async_context(
        KafkaActionPublisher(kafka_clusters(settings, os.environ), dependencies.clock)
    )
    return [
        LOG_LINE,
        Action.of(HTTP_REQUEST, requester.run),
        *flow_actions(dependencies.clock),
        Action.of(MONGODB, transactor.run),
        Action.of(KAFKA_PUBLISH, publisher.run),
    ]


def _requester(settings: RunnerSettings, dependencies: Dependencies) -> HttpRequester:
    limits = HttpLimits(
        allow_private=settings.http_allow_private_addresses,
        response_limit=settings.http_response_limit,
        body_kept=settings.http_body_kept,
        concurrency=settings.http_concurrency,
    )
    return HttpRequester(limits, _secrets(os.environ), dependencies.clock)


def _secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets that actions may refer to: `SECRET_NAME` is `${secret:NAME}`."""
    return {
        name.removeprefix(_SECRET_PREFIX): value
        for name, value in environment.items()
        if name.startswith(_SECRET_PREFIX)
    }


def connections(environment: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Return the addresses that actions may name: `<prefix>ORDERS` is the connection `orders`."""
    return {
        name.removeprefix(prefix).lower(): value
        for name, value in environment.items()
        if name.startswith(prefix) and value
    }


def kafka_clusters(
    settings: RunnerSettings, environment: Mapping[str, str]
) -> dict[str, KafkaCluster]:
    """Return the clusters that actions may publish to: the platform's own, unless replaced.

    Raises Misconfigured for an address that is none.
    """
    own = kafka_settings(settings, SERVICE)
    clusters = {"default": KafkaCluster(own.connection(), _topics(own.topics))}
    for name, servers in connections(environment, _KAFKA_PREFIX).items():
        try:
            check_servers(servers)
        except ValueError as error:
            raise Misconfigured(f"{_KAFKA_PREFIX}{name.upper()} {error}") from error
        shared = not _places(servers).isdisjoint(_places(own.bootstrap_servers))
        clusters[name] = KafkaCluster(
            {"bootstrap_servers": servers, "client_id": SERVICE},
            _topics(own.topics) if shared else frozenset(),
        )
    return clusters


def _places(servers: str) -> set[str]:
    return {server.strip() for server in servers.split(",")}


def _topics(topics: Topics) -> frozenset[str]:
    return frozenset({topics.requests, topics.dead_letters, topics.notices})
