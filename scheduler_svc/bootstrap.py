"""Wires the scheduler service: the only file here that names adapters."""

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from scheduler_svc.event_watch import EventWatch
from scheduler_svc.heartbeat import MEMBER_LEASE, Heartbeat
from scheduler_svc.metrics import SchedulerMetrics
from scheduler_svc.settings import SchedulerSettings
from scheduler_svc.ticker import NoticeListener, Ticker
from scheduler_svc.use_cases.fire import FireDueWorkflows
from scheduler_svc.use_cases.halt import HaltFailing
from scheduler_svc.use_cases.promote import PromoteBuffered
from scheduler_svc.use_cases.republish import RepublishEvents
from scheduler_svc.use_cases.share import ShareWork
from scheduler_svc.use_cases.sweep import SweepExecutions
from shared.adapters.kafka.subscriber import KafkaNoticeSubscriber
from shared.adapters.mongo.ledger import MongoLedger
from shared.adapters.mongo.lifecycle import MongoArchive, MongoWatermarks
from shared.adapters.mongo.operations import MongoMembers
from shared.adapters.mongo.workflows import MongoWorkflows
from shared.bootstrap import (
    Dependencies,
    connected,
    installed_catalogue,
    kafka_settings,
    published_executions,
)
from shared.domain.errors import Unavailable
from shared.ports.executions import ExecutionRepository
from shared.runtime.health import Health, health_router
from shared.runtime.lifecycle import serve
from shared.use_cases.buffers import ServeBuffer

SERVICE: Final = "scheduler-svc"
_GOODBYE_SECONDS: Final = 2


async def run(settings: SchedulerSettings) -> None:
    """Run the service until a signal ends it."""
    health = Health()
    registry = CollectorRegistry()
    app = FastAPI(title="Scheduler", version="1")
    app.include_router(health_router(health, registry))
    metrics = SchedulerMetrics(registry)

    async def work(stop: asyncio.Event) -> None:
        async with (
            connected(settings, SERVICE, health, stop) as dependencies,
            published_executions(settings, dependencies, registry) as executions,
            _ticker(settings, dependencies, executions, metrics) as ticker,
            _listener(settings, ticker) as listener,
        ):
            health.started()
            async with asyncio.TaskGroup() as group:
                watch = _event_watch(settings, dependencies, metrics)
                heart = Heartbeat(ticker.share, ticker, dependencies.clock)
                background = [group.create_task(part.run()) for part in (listener, watch, heart)]
                await ticker.run(stop)
                for task in background:
                    task.cancel()

    await serve(app, settings.host, settings.port, work)


@asynccontextmanager
async def _ticker(
    settings: SchedulerSettings,
    dependencies: Dependencies,
    executions: ExecutionRepository,
    metrics: SchedulerMetrics,
) -> AsyncIterator[Ticker]:
    clock, mongo, publisher = dependencies.clock, dependencies.mongo, dependencies.publisher
    catalogue = installed_catalogue()
    workflows = MongoWorkflows(mongo, catalogue)
    name = f"{socket.gethostname()}/{uuid.uuid4().hex[:12]}"
    share = ShareWork(
        MongoMembers(mongo), clock, metrics, name, MEMBER_LEASE, lambda: publisher.trouble is None
    )
    timing = settings.timing
    halt = HaltFailing(workflows, MongoLedger(mongo.executions), metrics)
    buffers = ServeBuffer(workflows, executions, clock, timing)
    promote = PromoteBuffered(buffers, publisher, publisher, clock, metrics)
    try:
        yield Ticker(
            workflows=workflows,
            executions=executions,
            fire=FireDueWorkflows(
                workflows,
                executions,
                publisher,
                clock,
                timing,
                metrics,
                halt,
                promote,
                settings.scheduler_lead,
            ),
            sweep=SweepExecutions(executions, publisher, clock, timing, metrics, promote),
            promote=promote,
            share=share,
            clock=clock,
            metrics=metrics,
            poll_interval=settings.poll_interval,
            batch=settings.scheduler_batch,
            read_ahead=settings.scheduler_read_ahead,
            lead=settings.scheduler_lead,
        )
    finally:
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await share.leave()


def _event_watch(
    settings: SchedulerSettings, dependencies: Dependencies, metrics: SchedulerMetrics
) -> EventWatch:
    clock, mongo = dependencies.clock, dependencies.mongo
    republish = RepublishEvents(
        MongoWatermarks(mongo),
        MongoArchive(mongo.executions),
        dependencies.publisher,
        clock,
        metrics,
    )
    return EventWatch(republish, clock, settings.poll_interval)


@asynccontextmanager
async def _listener(settings: SchedulerSettings, ticker: Ticker) -> AsyncIterator[NoticeListener]:
    notices = KafkaNoticeSubscriber(kafka_settings(settings, SERVICE))
    try:
        yield NoticeListener(notices, ticker)
    finally:
        await notices.close()
