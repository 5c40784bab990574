"""Changing an execution by a decision, as often as it takes to be the only one who does."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from shared.domain.errors import Conflict, FieldProblem, InvalidInput
from shared.domain.execution import Execution
from shared.ports.executions import Change, RecordOutcome
from workflows_svc.use_cases.pinned import Pinned, busy

_ATTEMPTS: Final = 50
Decide = Callable[[Execution], Awaitable[Execution]]


@dataclass(frozen=True, slots=True)
class ChangeExecution:
    """Reads an execution, decides what follows and stores it, unless it moved on meanwhile."""

    pinned: Pinned

    async def __call__(self, tenant: str, execution_id: str, decide: Decide) -> Execution:
        """Return the execution as it is stored now.

        Raises NotFound, what `decide` raises, WorkflowBusy if the change needs a
        workflow that another execution holds, and InvalidInput if it is too large.
        """
        for _ in range(_ATTEMPTS):
            current = await self.pinned.execution(tenant, execution_id)
            changed = await decide(current)
            (outcome,) = await self.pinned.executions.record([Change(current, changed)])
            if outcome is RecordOutcome.APPLIED:
                return changed
            if outcome is RecordOutcome.UNSERIALISABLE:
                said = "makes the execution, with all that it keeps already, too large to be stored"
                raise InvalidInput([FieldProblem("", said)])
            if outcome is RecordOutcome.BUSY:
                await self._refuse_if_held(changed)
        raise Conflict(f"Execution '{execution_id}' changes faster than it can be changed; repeat.")

    async def _refuse_if_held(self, execution: Execution) -> None:
        key = execution.active_key or ""
        holder = (await self.pinned.executions.active([key])).get(key)
        if holder is not None:
            raise busy(execution.workflow_id, holder)
