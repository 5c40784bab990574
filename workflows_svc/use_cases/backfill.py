"""Running the instants of a range that has passed, or saying what would be run."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from shared.domain import transitions
from shared.domain.backfill import BackfillPlan, Existing, instants_of, plan_backfill, rerun
from shared.domain.errors import Conflict, FieldProblem, InvalidInput, WorkflowDisabled
from shared.domain.execution import Execution
from shared.domain.instants import format_instant
from shared.domain.ledger import OccurrenceOutcome, first_of
from shared.domain.outcomes import Timing
from shared.domain.workflow import Workflow
from shared.ports.bus import WorkflowFreed
from shared.ports.clock import Clock
from shared.ports.executions import AddOutcome, ExecutionRepository
from shared.ports.ledger import OccurrenceLedger, OccurrenceQuery
from shared.use_cases.admission import crowd_of
from workflows_svc.use_cases.definitions import DefineWorkflows
from workflows_svc.use_cases.endings import last_instants

_PAGE: Final = 500
_RAN: Final = frozenset(OccurrenceOutcome) - {OccurrenceOutcome.SKIPPED}


@dataclass(frozen=True, slots=True)
class PlanBackfill:
    """The dry run of `POST /workflows/{id}/backfill`."""

    define: DefineWorkflows
    ledger: OccurrenceLedger
    clock: Clock

    async def __call__(
        self,
        tenant: str,
        workflow_id: str,
        since: datetime,
        until: datetime,
        existing: Existing,
    ) -> BackfillPlan:
        """Return what would be run. Raises NotFound, or InvalidInput for a range that cannot be."""
        return await self.of(await self.define.get(tenant, workflow_id), since, until, existing)

    async def of(
        self, workflow: Workflow, since: datetime, until: datetime, existing: Existing
    ) -> BackfillPlan:
        """Return what of a workflow would be run. Raises InvalidInput."""
        self._check(since, until)
        lasts = await last_instants(self.ledger, workflow)
        instants = instants_of(workflow, since, until, lasts)
        query = OccurrenceQuery(
            tenant=workflow.tenant,
            workflow_id=workflow.id,
            since=since,
            until=until,
            outcomes=_RAN,
            limit=_PAGE,
        )
        return plan_backfill(workflow, instants, existing, await self._all(query))

    def _check(self, since: datetime, until: datetime) -> None:
        if since >= until:
            raise InvalidInput([FieldProblem("/to", "must be after 'from'")])
        now = self.clock.now()
        if until > now:
            said = (
                f"must not be after now, {format_instant(now)}: what is to come is left to the "
                "schedule"
            )
            raise InvalidInput([FieldProblem("/to", said)])

    async def _all(self, query: OccurrenceQuery) -> list[Execution]:
        found: list[Execution] = []
        while page := await self.ledger.find(query):
            found += page
            query = replace(query, after=(first_of(page[-1]), page[-1].id))
        return found


@dataclass(frozen=True, slots=True)
class RunBackfill:
    """The command behind `POST /workflows/{id}/backfill`.

    What is to be run waits in places of the workflow's buffer that the schedule does not
    take, and goes on, the earliest instant first, as there is a slot free. Ids and places
    are unique, so a request that is repeated after a crash adds what is lacking.
    """

    plan: PlanBackfill
    executions: ExecutionRepository
    clock: Clock
    timing: Timing
    announce: Callable[[WorkflowFreed], None]

    async def __call__(
        self,
        tenant: str,
        workflow_id: str,
        since: datetime,
        until: datetime,
        existing: Existing,
    ) -> BackfillPlan:
        """Return what waits for its turn now. Raises what PlanBackfill does, and Conflict."""
        workflow = await self.plan.define.get(tenant, workflow_id)
        plan = await self.plan.of(workflow, since, until, existing)
        if workflow.definition.overlap_policy.replaces:
            raise Conflict(
                f"Workflow '{workflow_id}' cancels what runs for what comes (overlap: "
                "cancel-running), so the executions of a backfill would cancel each other."
            )
        if not workflow.takes_triggers:
            raise WorkflowDisabled(workflow_id)
        now = self.clock.now()
        left = [rerun(workflow, run, now, self.timing) for run in plan.runs]
        while left:
            left = await self._add(workflow, left)
        self.announce(WorkflowFreed(tenant, workflow_id))
        return plan

    async def _add(self, workflow: Workflow, wanted: list[Execution]) -> list[Execution]:
        """Add them in places that are free; return those whose place somebody else took."""
        places = (await crowd_of(self.executions, workflow.key)).free_for_backfills
        if len(places) < len(wanted):
            raise Conflict(
                f"Executions of earlier backfills of '{workflow.id}' are still waiting: there is "
                f"room for {len(places)} more. Repeat the request later, or with a shorter range."
            )
        buffered = [transitions.buffer(e, p) for e, p in zip(wanted, places, strict=False)]
        outcomes = await self.executions.add(buffered)
        pairs = zip(wanted, outcomes, strict=True)
        return [execution for execution, outcome in pairs if outcome is AddOutcome.BUSY]
