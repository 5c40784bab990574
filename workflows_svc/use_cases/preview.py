"""Looking ahead: when a workflow is due."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from shared.domain.drift import drift_warnings
from shared.domain.execution import Execution
from shared.domain.schedule_warnings import ScheduleWarning, schedule_warnings
from shared.domain.workflow import Workflow, instants_after
from shared.ports.clock import Clock
from workflows_svc.use_cases.definitions import DefineWorkflows


@dataclass(frozen=True, slots=True)
class PreviewSchedules:
    """The questions about instants that have not come yet."""

    define: DefineWorkflows
    clock: Clock

    async def instants(
        self, tenant: str, workflow_id: str, since: datetime | None, count: int
    ) -> tuple[Workflow, list[tuple[datetime, str]]]:
        """Return a workflow and its next instants after `since` (by default, now).

        Each comes with the id of its trigger.

        What lies before now is history: its executions tell it, and a trigger that is
        new may never have had these instants. Raises NotFound.
        """
        workflow = await self.define.get(tenant, workflow_id)
        now = self.clock.now()
        following = instants_after(workflow, max(since or now, now), now)
        return workflow, list(islice(following, count))

    def warnings(
        self, workflow: Workflow, recent: Sequence[Execution] = ()
    ) -> list[ScheduleWarning]:
        """Return what the author of a workflow should know about its triggers.

        `recent` are executions of it, for how long they took.
        """
        now = self.clock.now()
        return [*schedule_warnings(workflow, now), *drift_warnings(workflow, recent, now)]
