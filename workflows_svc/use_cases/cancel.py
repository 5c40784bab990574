"""Cancelling an execution, whatever it is doing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shared.domain import transitions
from shared.domain.errors import Conflict, ExecutionFinished, NotFound
from shared.domain.execution import UNFINISHED, Execution
from shared.domain.identity import workflow_key
from shared.domain.outcomes import Timing
from shared.ports.bus import ExecutionCancelled
from shared.ports.clock import Clock
from shared.ports.executions import Change, ExecutionRepository, RecordOutcome

_ATTEMPTS: Final = 50


@dataclass(frozen=True, slots=True)
class CancelExecution:
    """The command behind `POST /executions/{id}/cancel`."""

    executions: ExecutionRepository
    clock: Clock
    timing: Timing
    announce: Callable[[ExecutionCancelled], None]

    async def __call__(self, tenant: str, execution_id: str) -> Execution:
        """Cancel an unfinished execution and return it. Raises NotFound or ExecutionFinished."""
        for _ in range(_ATTEMPTS):
            current = await self.executions.get(tenant, execution_id)
            if current is None:
                raise NotFound("execution", execution_id)
            if current.status not in UNFINISHED:
                raise ExecutionFinished(execution_id, current.status.value)
            cancelled = transitions.cancel(current, self.clock.now(), self.timing.retention)
            (outcome,) = await self.executions.record([Change(current, cancelled)])
            if outcome is RecordOutcome.APPLIED:
                self.announce(ExecutionCancelled(execution_id))
                return cancelled
        raise Conflict(f"Execution '{execution_id}' changes faster than it can be cancelled.")

    async def active_of(self, tenant: str, workflow_id: str) -> bool:
        """Cancel the unfinished execution of a workflow; False if there is none."""
        key = workflow_key(tenant, workflow_id)
        active = (await self.executions.active([key])).get(key)
        if active is None:
            return False
        try:
            await self(tenant, active.id)
        except ExecutionFinished:
            # It ended by itself in the meantime, which is what was wanted.
            return False
        return True
