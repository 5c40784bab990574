"""Letting an execution go on: a failed one is retried, an unknown outcome is resolved."""

from dataclasses import dataclass

from pydantic import JsonValue

from shared.domain import operations
from shared.domain.errors import WorkflowDisabled
from shared.domain.execution import Execution
from shared.domain.operations import Resolution
from shared.domain.storable import check_storable
from shared.ports.clock import Clock
from workflows_svc.use_cases.change import ChangeExecution
from workflows_svc.use_cases.pinned import Request
from workflows_svc.use_cases.start import request_for


@dataclass(frozen=True, slots=True)
class RetryExecution:
    """The command behind `POST /executions/{id}/retry`."""

    change: ChangeExecution
    clock: Clock
    request: Request

    async def __call__(self, tenant: str, execution_id: str) -> Execution:
        """Queue a failed execution again and return it.

        Raises NotFound, Conflict if it did not fail or its workflow was deleted,
        WorkflowDisabled, and WorkflowBusy while another execution holds the workflow.
        """
        retried = await self.change(tenant, execution_id, self._decide)
        self.request(request_for(retried))
        return retried

    async def _decide(self, execution: Execution) -> Execution:
        plan = await self.change.pinned.plan(execution)
        retried = operations.retry(plan, execution, self.clock.now())
        workflow = await self.change.pinned.workflow(execution)
        if not workflow.takes_triggers:
            raise WorkflowDisabled(workflow.id)
        if workflow.policy.is_plain:
            return retried
        slot = await self.change.pinned.free_slot(workflow)
        return operations.retry(plan, execution, self.clock.now(), slot)


@dataclass(frozen=True, slots=True)
class ResolveAction:
    """The command behind `POST /executions/{id}/actions/{action}/resolve`.

    It starts nothing new, so a workflow that was disabled or deleted is no obstacle:
    an execution that waits for this answer could not end otherwise.
    """

    change: ChangeExecution
    clock: Clock
    request: Request

    async def __call__(
        self,
        tenant: str,
        execution_id: str,
        action: str,
        resolution: Resolution,
        output: JsonValue,
    ) -> Execution:
        """Record an operator's answer and return the execution, queued.

        Raises NotFound (execution or action), InvalidInput for an output that cannot
        be stored, and Conflict unless the outcome of the action is unknown.
        """
        check_storable(output, "/output")

        async def decide(execution: Execution) -> Execution:
            plan = await self.change.pinned.plan(execution)
            return operations.resolve(plan, execution, action, resolution, output, self.clock.now())

        resolved = await self.change(tenant, execution_id, decide)
        self.request(request_for(resolved))
        return resolved
