"""Wires the workflows service: the only file here that names adapters."""

import asyncio
import uuid
from contextlib import suppress

from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Counter

from shared.adapters.cel.language import CelLanguage
from shared.adapters.mongo.executions import MongoExecutions
from shared.adapters.mongo.operations import MongoDeadLetters
from shared.adapters.mongo.workflows import MongoWorkflows
from shared.bootstrap import Dependencies, connected, installed_catalogue
from shared.domain.catalogue import ActionCatalogue
from shared.ports.bus import ExecutionRequest, Notice
from shared.runtime.health import Health
from shared.runtime.lifecycle import serve
from shared.runtime.outbox import Outbox
from workflows_svc.api.services import Services
from workflows_svc.app import create_app
from workflows_svc.settings import WorkflowsSettings
from workflows_svc.use_cases.cancel import CancelExecution
from workflows_svc.use_cases.dead_letters import HandleDeadLetters
from workflows_svc.use_cases.definitions import DefineWorkflows
from workflows_svc.use_cases.queries import Queries
from workflows_svc.use_cases.remove import RemoveWorkflow
from workflows_svc.use_cases.trigger import TriggerWorkflow

SERVICE = "workflows-svc"


async def run(settings: WorkflowsSettings) -> None:
    """Run the service until a signal ends it."""
    health = Health()
    registry = CollectorRegistry()
    catalogue = installed_catalogue()
    app = create_app(health, registry, catalogue, settings.body_limit)

    async def work(stop: asyncio.Event) -> None:
        async with connected(settings, SERVICE, health, stop) as dependencies:
            await _serve_requests(app, settings, dependencies, catalogue, registry, health, stop)

    await serve(app, settings.host, settings.port, work)


async def _serve_requests(
    app: FastAPI,
    settings: WorkflowsSettings,
    dependencies: Dependencies,
    catalogue: ActionCatalogue,
    registry: CollectorRegistry,
    health: Health,
    stop: asyncio.Event,
) -> None:
    publisher = dependencies.publisher
    dropped = Counter(
        "wakeups_dropped",
        "Messages that were not sent; the sweep makes up for them.",
        registry=registry,
    )
    requests: Outbox[ExecutionRequest] = Outbox("requests", publisher.publish, dropped)
    notices: Outbox[Notice] = Outbox("notices", publisher.announce, dropped)
    senders = [asyncio.create_task(outbox.run()) for outbox in (requests, notices)]
    app.state.services = _services(settings, dependencies, catalogue, requests, notices)
    health.started()
    await stop.wait()
    app.state.services = None
    for sender in senders:
        sender.cancel()
    await asyncio.gather(*senders, return_exceptions=True)
    with suppress(TimeoutError):
        async with asyncio.timeout(settings.drain.total_seconds()):
            await requests.flush()
            await notices.flush()


def _services(
    settings: WorkflowsSettings,
    dependencies: Dependencies,
    catalogue: ActionCatalogue,
    requests: Outbox[ExecutionRequest],
    notices: Outbox[Notice],
) -> Services:
    clock, mongo = dependencies.clock, dependencies.mongo
    workflows = MongoWorkflows(mongo, catalogue)
    executions = MongoExecutions(mongo.executions)
    timing = settings.timing
    define = DefineWorkflows(
        workflows,
        executions,
        catalogue,
        clock,
        timing,
        notices.put,
        CelLanguage(),
        settings.expression_names,
    )
    cancel = CancelExecution(executions, clock, timing, notices.put)
    return Services(
        define=define,
        trigger=TriggerWorkflow(
            workflows, executions, clock, timing, lambda: uuid.uuid4().hex, requests.put
        ),
        remove=RemoveWorkflow(define, cancel),
        cancel=cancel,
        queries=Queries(workflows, executions),
        dead_letters=HandleDeadLetters(MongoDeadLetters(mongo), dependencies.publisher, clock),
    )
