"""Planning to run the instants of a range that has passed."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from shared.domain.backfill import BackfillPlan, Existing, instants_of, plan_backfill
from shared.domain.errors import FieldProblem, InvalidInput
from shared.domain.execution import Execution
from shared.domain.ledger import OccurrenceOutcome, first_of
from shared.ports.clock import Clock
from shared.ports.ledger import OccurrenceLedger, OccurrenceQuery
from workflows_svc.use_cases.definitions import DefineWorkflows

_PAGE: Final = 500
_RAN: Final = frozenset(OccurrenceOutcome) - {OccurrenceOutcome.SKIPPED}


@dataclass(frozen=True, slots=True)
class PlanBackfill:
    """The dry run behind `POST /workflows/{id}/backfill`."""

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
        workflow = await self.define.get(tenant, workflow_id)
        self._check(since, until)
        instants = instants_of(workflow, since, until)
        query = OccurrenceQuery(
            tenant=tenant,
            workflow_id=workflow_id,
            since=since,
            until=until,
            outcomes=_RAN,
            limit=_PAGE,
        )
        return plan_backfill(workflow, instants, existing, await self._all(query))

    def _check(self, since: datetime, until: datetime) -> None:
        if since >= until:
            raise InvalidInput([FieldProblem("/to", "must be after 'from'")])
        if until > self.clock.now():
            said = "must not be to come: what is not due yet is left to the schedule"
            raise InvalidInput([FieldProblem("/to", said)])

    async def _all(self, query: OccurrenceQuery) -> list[Execution]:
        found: list[Execution] = []
        while page := await self.ledger.find(query):
            found += page
            query = replace(query, after=(first_of(page[-1]), page[-1].id))
        return found
