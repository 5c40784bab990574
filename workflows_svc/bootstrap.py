"""Wires the workflows service: the only file here that names adapters."""

import asyncio
import uuid
from contextlib import suppress

from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Counter

from shared.adapters.cel.language import CelLanguage
from shared.adapters.json_schema.validator import JsonSchemaValidator
from shared.adapters.mongo.ledger import MongoLedger
from shared.adapters.mongo.operations import MongoDeadLetters
from shared.adapters.mongo.workflows import MongoWorkflows
from shared.bootstrap import (
    Dependencies,
    connected,
    installed_catalogue,
    published_executions,
)
from shared.domain.catalogue import ActionCatalogue
from shared.ports.bus import ExecutionRequest, Notice
from shared.ports.executions import ExecutionRepository
from shared.runtime.health import Health
from shared.runtime.lifecycle import serve
from shared.runtime.outbox import Outbox
from workflows_svc.api.services import Services
from workflows_svc.app import create_app
from workflows_svc.settings import WorkflowsSettings
from workflows_svc.use_cases.backfill import PlanBackfill, RunBackfill
from workflows_svc.use_cases.cancel import CancelExecution
from workflows_svc.use_cases.change import ChangeExecution
from workflows_svc.use_cases.dead_letters import HandleDeadLetters
from workflows_svc.use_cases.definitions import DefineWorkflows
from workflows_svc.use_cases.inspect import InspectExecutions
from workflows_svc.use_cases.ledger import ReadLedger
from workflows_svc.use_cases.pinned import Pinned
from workflows_svc.use_cases.preview import PreviewSchedules
from workflows_svc.use_cases.queries import Queries
from workflows_svc.use_cases.remove import RemoveWorkflow
from workflows_svc.use_cases.repeat import RepeatExecution
from workflows_svc.use_cases.retry import ResolveAction, RetryExecution
from workflows_svc.use_cases.start import StartExecution
from workflows_svc.use_cases.trigger import TriggerWorkflow

SERVICE = "workflows-svc"


async def run(settings: WorkflowsSettings) -> None:
    """Run the service until a signal ends it."""
    health = Health()
    registry = CollectorRegistry()
    catalogue = installed_catalogue()
    app = create_app(health, registry, catalogue, settings.body_limit)

    async def work(stop: asyncio.Event) -> None:
        async with (
            connected(settings, SERVICE, health, stop) as dependencies,
            published_executions(settings, dependencies, registry) as executions,
        ):
            await _serve_requests(
                app, settings, dependencies, executions, catalogue, registry, health, stop
            )

    await serve(app, settings.host, settings.port, work)


async def _serve_requests(  # noqa: PLR0913 - it is where everything meets
    app: FastAPI,
    settings: WorkflowsSettings,
    dependencies: Dependencies,
    executions: ExecutionRepository,
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
    skipped = Counter(
        "occurrences_skipped",
        "Occurrences that were recorded as skipped as a workflow was changed, by reason.",
        ["reason"],
        registry=registry,
    )
    app.state.services = _services(
        settings, dependencies, executions, catalogue, requests, notices, skipped
    )
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
    executions: ExecutionRepository,
    catalogue: ActionCatalogue,
    requests: Outbox[ExecutionRequest],
    notices: Outbox[Notice],
    skipped: Counter,
) -> Services:
    clock, mongo = dependencies.clock, dependencies.mongo
    workflows = MongoWorkflows(mongo, catalogue)
    timing, ledger = settings.timing, MongoLedger(mongo.executions)
    inputs, pinned = JsonSchemaValidator(), Pinned(workflows, executions)
    change, start = (
        ChangeExecution(pinned),
        StartExecution(pinned, inputs, requests.put, notices.put),
    )
    define = DefineWorkflows(
        workflows,
        executions,
        catalogue,
        inputs,
        clock,
        timing,
        notices.put,
        CelLanguage(),
        settings.expression_names,
        lambda skip: skipped.labels(skip.reason.value).inc(skip.count),
    )
    plan_backfill, queries = PlanBackfill(define, ledger, clock), Queries(workflows, executions)
    cancel = CancelExecution(change, clock, timing, notices.put, requests.put)
    return Services(
        define=define,
        trigger=TriggerWorkflow(workflows, clock, timing, _new_id, start),
        remove=RemoveWorkflow(define, cancel),
        cancel=cancel,
        retry=RetryExecution(change, clock, requests.put),
        resolve=ResolveAction(change, clock, requests.put),
        repeat=RepeatExecution(pinned, clock, timing, _new_id, start),
        inspect=InspectExecutions(pinned, clock),
        queries=queries,
        preview=PreviewSchedules(define, clock, queries),
        ledger=ReadLedger(define, workflows, executions, ledger, clock, timing),
        plan_backfill=plan_backfill,
        backfill=RunBackfill(plan_backfill, executions, clock, timing, notices.put),
        dead_letters=HandleDeadLetters(MongoDeadLetters(mongo), dependencies.publisher, clock),
    )


def _new_id() -> str:
    return uuid.uuid4().hex
