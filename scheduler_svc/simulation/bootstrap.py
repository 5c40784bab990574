"""Wires a simulation: the scheduler's own use case, and everything around it in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from prometheus_client import CollectorRegistry
from pydantic import JsonValue

from scheduler_svc.metrics import SchedulerMetrics
from scheduler_svc.simulation.report import MOST_LISTED, load, occurrences, per_workflow
from scheduler_svc.simulation.run import MOST_LOOKS, Simulation
from scheduler_svc.simulation.runners import SimulatedRunners
from scheduler_svc.use_cases.fire import FireDueWorkflows
from scheduler_svc.use_cases.halt import HaltFailing
from scheduler_svc.use_cases.promote import PromoteBuffered
from shared.adapters.memory.clock import ManualClock
from shared.adapters.memory.executions import MemoryExecutions
from shared.adapters.memory.ledger import MemoryLedger
from shared.adapters.memory.workflows import MemoryWorkflows
from shared.adapters.system.clock import SystemClock
from shared.contracts.simulation import Refusal, SimulationReport, SimulationRequest
from shared.domain.catalogue import ActionCatalogue
from shared.domain.errors import InvalidInput
from shared.domain.execution import Execution
from shared.domain.identity import DEFAULT_TENANT
from shared.domain.outcomes import Timing
from shared.domain.workflow import Workflow, create
from shared.ports.executions import ExecutionQuery
from shared.use_cases.buffers import ServeBuffer

_ALL: Final = 2**31


async def simulate(
    request: SimulationRequest, catalogue: ActionCatalogue, most_looks: int = MOST_LOOKS
) -> SimulationReport:
    """Run schedules over virtual time, as if the workflows were created at its beginning."""
    since = request.since or SystemClock().now()
    workflows, refused = _read(request.definitions, catalogue, since)
    if refused:
        return SimulationReport(
            since=since, until=since, refused=tuple(refused), load=[], occurrences=[]
        )
    until = since + request.length
    played = await rehearse(workflows, since, until, request.takes, most_looks)
    end = played.stopped or until
    listed = occurrences(workflows, played.executions)
    return SimulationReport(
        since=since,
        until=end,
        complete=played.stopped is None,
        workflows=tuple(per_workflow(workflows, played.executions, since, end)),
        most_running=played.most_running,
        load=load(played.executions),
        occurrences=listed[:MOST_LISTED],
        more_occurrences=len(listed[MOST_LISTED:]),
    )


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The executions that came of workflows, and where it stopped if that was too early."""

    executions: list[Execution]
    most_running: int
    stopped: datetime | None


async def rehearse(
    workflows: Sequence[Workflow],
    since: datetime,
    until: datetime,
    takes: timedelta,
    most_looks: int = MOST_LOOKS,
) -> Rehearsal:
    """Let the scheduler fire workflows; every execution takes as long, and succeeds."""
    storage, executions, clock = MemoryWorkflows(), MemoryExecutions(), ManualClock(since)
    timing, metrics = Timing(), SchedulerMetrics(CollectorRegistry())
    runners = SimulatedRunners(executions, clock, takes, timing)
    halt = HaltFailing(storage, MemoryLedger(executions), metrics)
    promote = PromoteBuffered(
        ServeBuffer(storage, executions, clock, timing), runners, runners, clock, metrics
    )
    fire = FireDueWorkflows(storage, executions, runners, clock, timing, metrics, halt, promote)
    for workflow in workflows:
        await storage.add(workflow)
    stopped = await Simulation(storage, fire, runners, clock.leap_to, most_looks).run(until)
    found = await executions.find(ExecutionQuery(tenant=DEFAULT_TENANT, limit=_ALL))
    return Rehearsal(found, runners.most_running, stopped)


def _read(
    documents: Sequence[JsonValue], catalogue: ActionCatalogue, since: datetime
) -> tuple[list[Workflow], list[Refusal]]:
    """Return the workflows that documents mean, and what is wrong with them."""
    workflows: dict[str, Workflow] = {}
    refused: list[Refusal] = []
    for number, document in enumerate(documents):
        try:
            definition = catalogue.parse(document)
        except InvalidInput as error:
            refused += [
                Refusal(definition=number, pointer=problem.pointer, detail=problem.detail)
                for problem in error.problems
            ]
            continue
        if definition.workflow_id in workflows:
            said = f"is '{definition.workflow_id}', as that of a definition before"
            refused.append(Refusal(definition=number, pointer="/workflowId", detail=said))
        workflows[definition.workflow_id] = create(DEFAULT_TENANT, definition, 1, since)
    return list(workflows.values()), refused
