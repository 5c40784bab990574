"""Looking ahead: when a workflow is due."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.drift import drift_warnings
from shared.domain.execution import Execution
from shared.domain.foresight import Occupied
from shared.domain.outlook import Assumed, Outlook, Source, measured, occupied_by, outlook
from shared.domain.schedule_warnings import ScheduleWarning, schedule_warnings
from shared.domain.workflow import Workflow
from shared.ports.clock import Clock
from workflows_svc.use_cases.definitions import DefineWorkflows
from workflows_svc.use_cases.queries import Queries


@dataclass(frozen=True, slots=True)
class PreviewSchedules:
    """The questions about instants that have not come yet."""

    define: DefineWorkflows
    clock: Clock
    queries: Queries

    async def instants(
        self,
        tenant: str,
        workflow_id: str,
        since: datetime | None,
        count: int,
        duration: timedelta | None = None,
    ) -> Outlook:
        """Return the next instants of a workflow after `since` (by default, now).

        What is to be expected of them rests on how long an execution takes: as long as is
        given, or as the recent ones took.

        What lies before now is history: its executions tell it, and a trigger that is
        new may never have had these instants. Raises NotFound.
        """
        workflow = await self.define.get(tenant, workflow_id)
        if duration is None:
            assumed = measured(await self.queries.recent(workflow))
        else:
            assumed = Assumed(Source.GIVEN, duration)
        held = await self._held(workflow, assumed)
        return outlook(workflow, max(since or held.at, held.at), count, assumed, held)

    async def _held(self, workflow: Workflow, assumed: Assumed) -> Occupied:
        if assumed.length is None:
            return Occupied(self.clock.now())
        state = await self.queries.state_of(workflow)
        waiting, now = len(state.crowd.waiting), self.clock.now()
        return occupied_by(workflow, state.holders, waiting, assumed.length, now)

    def warnings(
        self, workflow: Workflow, recent: Sequence[Execution] = ()
    ) -> list[ScheduleWarning]:
        """Return what the author of a workflow should know about its triggers.

        `recent` are executions of it, for how long they took.
        """
        now = self.clock.now()
        return [*schedule_warnings(workflow, now), *drift_warnings(workflow, recent, now)]
