"""Cancelling an execution, whatever it is doing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shared.domain import operations
from shared.domain.errors import Conflict
from shared.domain.execution import HOLDING, UNFINISHED, Execution, Status
from shared.domain.identity import workflow_key
from shared.domain.outcomes import Timing
from shared.domain.overlap import MAX_BUFFERED
from shared.domain.plan import is_waited_for
from shared.ports.bus import ExecutionCancelled, WorkflowFreed
from shared.ports.clock import Clock
from shared.use_cases.admission import crowd_of
from shared.use_cases.holders import in_slots
from workflows_svc.use_cases.change import ChangeExecution
from workflows_svc.use_cases.pinned import Request
from workflows_svc.use_cases.start import request_for

_ROUNDS: Final = 10
"""So often a full read of those that wait is cancelled: a few times more than there are places."""


@dataclass(frozen=True, slots=True)
class CancelExecution:
    """The command behind `POST /executions/{id}/cancel`."""

    change: ChangeExecution
    clock: Clock
    timing: Timing
    announce: Callable[[ExecutionCancelled | WorkflowFreed], None]
    request: Request

    async def __call__(self, tenant: str, execution_id: str) -> Execution:
        """Cancel an unfinished execution, or put it on its way there if it undoes things first.

        Raises NotFound, ExecutionFinished, or Conflict while it is ending already.
        """
        held = waited_for = False

        async def decide(execution: Execution) -> Execution:
            nonlocal held, waited_for
            held = execution.lease is not None
            plan = await self.change.pinned.plan_if_there(execution)
            waited_for = execution.status in HOLDING and is_waited_for(plan, execution)
            return operations.cancel(plan, execution, self.clock.now(), self.timing)

        cancelled = await self.change(tenant, execution_id, decide)
        if held:
            self.announce(ExecutionCancelled(execution_id, cancelled.last_token))
        if cancelled.status is Status.QUEUED:
            self.request(request_for(cancelled))
        elif waited_for:
            self.announce(WorkflowFreed(tenant, cancelled.workflow_id))
        return cancelled

    async def all_of(self, tenant: str, workflow_id: str) -> bool:
        """Cancel the unfinished executions of a workflow; False if there are none."""
        key = workflow_key(tenant, workflow_id)
        executions = self.change.pinned.executions
        # Those that wait come first, lest one gets its turn just because another was cancelled.
        ended = await self._all_waiting(tenant, key)
        crowd = await crowd_of(executions, key)
        holding = await in_slots(executions, key, crowd)
        return any([ended, *[await self._one(tenant, e.id) for e in holding]])

    async def _all_waiting(self, tenant: str, key: str) -> bool:
        """Cancel what waits until nothing does; False if nothing did."""
        ended = False
        # Each round leaves nobody there of those that it found, however they went.
        for _ in range(_ROUNDS):
            waiting = await self.change.pinned.executions.buffered(key, MAX_BUFFERED)
            if not waiting:
                break
            ended = any([ended, *[await self._one(tenant, e.id) for e in waiting]])
        return ended

    async def _one(self, tenant: str, execution_id: str) -> bool:
        """Cancel an execution; False if it has ended by itself meanwhile."""
        try:
            await self(tenant, execution_id)
        except Conflict:
            now = await self.change.pinned.execution(tenant, execution_id)
            if now.status in UNFINISHED and now.ending is None:
                raise
            # It has ended, or is about to, by itself: that is what was wanted.
            return now.status in UNFINISHED
        return True
