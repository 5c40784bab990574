"""What the routes work with, handed over once the database is there."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from shared.domain.errors import Unavailable
from workflows_svc.use_cases.backfill import PlanBackfill, RunBackfill
from workflows_svc.use_cases.cancel import CancelExecution
from workflows_svc.use_cases.dead_letters import HandleDeadLetters
from workflows_svc.use_cases.definitions import DefineWorkflows
from workflows_svc.use_cases.inspect import InspectExecutions
from workflows_svc.use_cases.ledger import ReadLedger
from workflows_svc.use_cases.preview import PreviewSchedules
from workflows_svc.use_cases.queries import Queries
from workflows_svc.use_cases.remove import RemoveWorkflow
from workflows_svc.use_cases.repeat import RepeatExecution
from workflows_svc.use_cases.retry import ResolveAction, RetryExecution
from workflows_svc.use_cases.trigger import TriggerWorkflow


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases behind the API."""

    define: DefineWorkflows
    trigger: TriggerWorkflow
    remove: RemoveWorkflow
    cancel: CancelExecution
    retry: RetryExecution
    resolve: ResolveAction
    repeat: RepeatExecution
    inspect: InspectExecutions
    queries: Queries
    preview: PreviewSchedules
    ledger: ReadLedger
    plan_backfill: PlanBackfill
    backfill: RunBackfill
    dead_letters: HandleDeadLetters


async def services(request: Request) -> Services:
    """Return the use cases. Raises Unavailable while the service still waits for MongoDB."""
    found: Services | None = getattr(request.app.state, "services", None)
    if found is None:
        raise Unavailable("MongoDB", "the service has not reached it yet")
    return found


Wired = Annotated[Services, Depends(services)]
