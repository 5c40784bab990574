"""Cancelling an execution, whatever it is doing."""

from collections.abc import Callable
from dataclasses import dataclass

from shared.domain import operations
from shared.domain.errors import Conflict
from shared.domain.execution import UNFINISHED, Execution, Status
from shared.domain.identity import workflow_key
from shared.domain.outcomes import Timing
from shared.ports.bus import ExecutionCancelled
from shared.ports.clock import Clock
from workflows_svc.use_cases.change import ChangeExecution
from workflows_svc.use_cases.pinned import Request
from workflows_svc.use_cases.start import request_for


@dataclass(frozen=True, slots=True)
class CancelExecution:
    """The command behind `POST /executions/{id}/cancel`."""

    change: ChangeExecution
    clock: Clock
    timing: Timing
    announce: Callable[[ExecutionCancelled], None]
    request: Request

    async def __call__(self, tenant: str, execution_id: str) -> Execution:
        """Cancel an unfinished execution, or put it on its way there if it undoes things first.

        Raises NotFound, ExecutionFinished, or Conflict while it is ending already.
        """
        held = False

        async def decide(execution: Execution) -> Execution:
            nonlocal held
            held = execution.lease is not None
            plan = await self.change.pinned.plan_if_there(execution)
            return operations.cancel(plan, execution, self.clock.now(), self.timing)

        cancelled = await self.change(tenant, execution_id, decide)
        if held:
            self.announce(ExecutionCancelled(execution_id, cancelled.last_token))
        if cancelled.status is Status.QUEUED:
            self.request(request_for(cancelled))
        return cancelled

    async def active_of(self, tenant: str, workflow_id: str) -> bool:
        """Cancel the unfinished execution of a workflow; False if there is none."""
        key = workflow_key(tenant, workflow_id)
        active = (await self.change.pinned.executions.active([key])).get(key)
        if active is None:
            return False
        try:
            await self(tenant, active.id)
        except Conflict:
            now = await self.change.pinned.execution(tenant, active.id)
            if now.status in UNFINISHED and now.ending is None:
                raise
            # It has ended, or is about to, by itself: that is what was wanted.
            return now.status in UNFINISHED
        return True
