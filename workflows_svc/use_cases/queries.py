"""Reading workflows and executions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from shared.domain.errors import NotFound
from shared.domain.execution import Execution
from shared.domain.overlap import Crowd
from shared.domain.triggers import ForeignTrigger, ManualTrigger, OnceTrigger
from shared.domain.workflow import TriggerStatus, Workflow, trigger_status
from shared.ports.executions import ExecutionQuery, ExecutionRepository
from shared.ports.workflows import WorkflowQuery, WorkflowRepository
from shared.use_cases.holders import holders_of

_SCAN: Final = 200
_RECENT: Final = 50


@dataclass(frozen=True, slots=True)
class WorkflowState:
    """A workflow and the unfinished executions that hold it, if any."""

    workflow: Workflow
    holders: tuple[Execution, ...]
    crowd: Crowd

    @property
    def buffered(self) -> int:
        """How many executions of it wait for their turn, those of backfills included."""
        return len(self.crowd.places)

    @property
    def active(self) -> Execution | None:
        """The one of them that the status speaks of."""
        return self.holders[0] if self.holders else None

    @property
    def status(self) -> TriggerStatus:
        """The status of its trigger."""
        return trigger_status(self.active)


@dataclass(frozen=True, slots=True)
class Queries:
    """The questions that the API answers."""

    workflows: WorkflowRepository
    executions: ExecutionRepository

    async def state_of(self, workflow: Workflow) -> WorkflowState:
        """Return a workflow with what holds it."""
        (state,) = await self._states([workflow])
        return state

    async def list_workflows(
        self, query: WorkflowQuery, status: TriggerStatus | None
    ) -> list[WorkflowState]:
        """Return a page of workflows, by id, of those whose trigger has `status`."""
        found: list[WorkflowState] = []
        step = replace(query, limit=query.limit if status is None else max(query.limit, _SCAN))
        while True:
            read = await self.workflows.find(step)
            states = await self._states(read)
            found += [state for state in states if status in {None, state.status}]
            if len(found) >= query.limit or len(read) < step.limit:
                return found[: query.limit]
            step = replace(step, after=read[-1].id)

    async def execution(self, tenant: str, execution_id: str) -> Execution:
        """Return one execution with its history. Raises NotFound."""
        found = await self.executions.get(tenant, execution_id)
        if found is None:
            raise NotFound("execution", execution_id)
        return found

    async def list_executions(self, query: ExecutionQuery) -> list[Execution]:
        """Return a page of executions, newest first, as summaries."""
        return await self.executions.find(query)

    async def recent(self, workflow: Workflow) -> list[Execution]:
        """Return the last executions of a workflow that has a schedule, as summaries."""
        if isinstance(workflow.definition.trigger, ManualTrigger | OnceTrigger | ForeignTrigger):
            return []
        query = ExecutionQuery(tenant=workflow.tenant, workflow_id=workflow.id, limit=_RECENT)
        return await self.executions.find(query)

    async def _states(self, workflows: Sequence[Workflow]) -> list[WorkflowState]:
        if not workflows:
            return []
        held = await holders_of(self.executions, {w.key: w.policy for w in workflows})
        return [WorkflowState(w, held[w.key].holders, held[w.key].crowd) for w in workflows]
