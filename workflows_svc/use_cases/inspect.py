"""Looking into executions: as they were, why they are where they are, and whether all adds up."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from shared.domain.errors import NotFound
from shared.domain.execution import Execution, Status
from shared.domain.fold import differences, fold
from shared.domain.why import Why, why
from shared.ports.clock import Clock
from shared.ports.executions import ExecutionQuery
from workflows_svc.use_cases.pinned import Pinned

_STEP: Final = 20
"""How many executions are in memory at a time while they are verified: each may have 15 MiB."""


@dataclass(frozen=True, slots=True)
class Inconsistent:
    """An execution whose stored state is not what its history leads to."""

    execution_id: str
    differences: Sequence[str]


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of verifying a page of executions; `last` is where the next one goes on."""

    checked: int
    inconsistent: Sequence[Inconsistent]
    last: Execution | None


@dataclass(frozen=True, slots=True)
class InspectExecutions:
    """The questions that take more than reading one document."""

    pinned: Pinned
    clock: Clock

    def state_at(self, execution: Execution, seq: int) -> Execution:
        """Return the state after event number `seq`. Raises NotFound beyond the last one."""
        if seq > len(execution.history):
            raise NotFound("event", str(seq))
        return fold(execution, seq)

    async def why(self, tenant: str, execution_id: str) -> tuple[Execution, Why]:
        """Return an execution, and why it is where it is. Raises NotFound."""
        execution = await self.pinned.execution(tenant, execution_id)
        plan = await self.pinned.plan_if_there(execution)
        if execution.status is Status.BUFFERED:
            queue = await self.pinned.queue(execution)
            return execution, why(plan, execution, self.clock.now(), queue)
        return execution, why(plan, execution, self.clock.now())

    async def verify(self, query: ExecutionQuery) -> Verification:
        """Compare the stored state of a page of executions with what their histories lead to."""
        checked, found = 0, []
        last: Execution | None = None
        while checked < query.limit:
            step = min(_STEP, query.limit - checked)
            executions = await self.pinned.executions.find_whole(replace(query, limit=step))
            for execution in executions:
                if wrong := differences(execution):
                    found.append(Inconsistent(execution.id, wrong))
                # Folding is work, and other requests wait for it.
                await asyncio.sleep(0)
            checked += len(executions)
            if len(executions) < step:
                return Verification(checked, found, None)
            last = executions[-1]
            query = replace(query, after=(last.created_at, last.id))
        return Verification(checked, found, last)
