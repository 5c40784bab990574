"""An execution with what it is pinned to: the plan of its version, and its workflow."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shared.domain.errors import Conflict, NotFound, WorkflowBusy
from shared.domain.execution import Execution
from shared.domain.identity import workflow_key
from shared.domain.overlap import MAX_BUFFERED
from shared.domain.plan import Plan
from shared.domain.why import Queue
from shared.domain.workflow import Workflow, trigger_status
from shared.ports.bus import ExecutionRequest
from shared.ports.executions import ExecutionRepository
from shared.ports.workflows import WorkflowRepository
from shared.use_cases.admission import crowd_of
from shared.use_cases.holders import holders_of, in_slots
from shared.use_cases.plans import plan_of

_ATTEMPTS: Final = 20
Request = Callable[[ExecutionRequest], None]


@dataclass(frozen=True, slots=True)
class Pinned:
    """Reads what the commands on an execution decide by."""

    workflows: WorkflowRepository
    executions: ExecutionRepository

    async def execution(self, tenant: str, execution_id: str) -> Execution:
        """Return an execution. Raises NotFound."""
        found = await self.executions.get(tenant, execution_id)
        if found is None:
            raise NotFound("execution", execution_id)
        return found

    async def plan_if_there(self, execution: Execution) -> Plan | None:
        """Return the plan of an execution's version, None if that version is gone."""
        return await plan_of(self.workflows, execution)

    async def plan(self, execution: Execution) -> Plan:
        """Return the plan of an execution's version. Raises Conflict if that version is gone."""
        found = await self.plan_if_there(execution)
        if found is None:
            raise Conflict(
                f"Version {execution.version} of workflow '{execution.workflow_id}' is gone, "
                f"so execution '{execution.id}' cannot go on or be repeated."
            )
        return found

    async def workflow(self, execution: Execution) -> Workflow:
        """Return the workflow of an execution. Raises Conflict if it was deleted."""
        found = await self.workflows.get(execution.tenant, execution.workflow_id)
        if found is None or found.deleted_at is not None:
            raise Conflict(
                f"Workflow '{execution.workflow_id}' was deleted, so its executions are no "
                "longer run again."
            )
        return found

    async def holder(self, workflow: Workflow) -> Execution | None:
        """Return an unfinished execution that holds a workflow, of several the first by slot.

        If a slot is free, but has not been given to those that wait, it is the first of them.
        """
        held = await holders_of(self.executions, {workflow.key: workflow.policy})
        holders = held[workflow.key].holders
        found = holders or await self.executions.buffered(workflow.key, 1)
        return next(iter(found), None)

    async def queue(self, execution: Execution) -> Queue:
        """Return what a buffered execution waits behind."""
        key = workflow_key(execution.tenant, execution.workflow_id)
        crowd = await crowd_of(self.executions, key)
        running = await in_slots(self.executions, key, crowd)
        waiting = [e.id for e in await self.executions.buffered(key, MAX_BUFFERED)]
        ahead = waiting.index(execution.id) if execution.id in waiting else 0
        return Queue(tuple(each.id for each in running), ahead)

    async def free_slot(self, workflow: Workflow) -> int:
        """Return a slot of a workflow that is free now. Raises WorkflowBusy, or Conflict."""
        for _ in range(_ATTEMPTS):
            crowd = await crowd_of(self.executions, workflow.key)
            slot = next(workflow.policy.free_slots(crowd), None)
            if slot is not None:
                return slot
            if holder := await self.holder(workflow):
                raise busy(workflow.id, holder)
        raise contended(workflow.id)


def busy(workflow_id: str, holder: Execution, buffered: int = 0) -> WorkflowBusy:
    """Return the refusal to start another execution beside the one that holds the workflow."""
    return WorkflowBusy(
        workflow_id,
        status=trigger_status(holder).value,
        execution_id=holder.id,
        retries_left=holder.retries_left,
        next_attempt_at=holder.next_attempt_at,
        buffered=buffered,
    )


def contended(workflow_id: str) -> Conflict:
    """Return the refusal for when others were quicker, time after time."""
    return Conflict(f"Workflow '{workflow_id}' is being triggered by many at once; try again.")
