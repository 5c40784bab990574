"""Serving the buffer of a workflow: who waits there goes on as soon as a slot is free."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from shared.domain import operations, transitions
from shared.domain.execution import UNFINISHED, Execution, Status
from shared.domain.identity import workflow_key
from shared.domain.outcomes import Timing
from shared.domain.overlap import MAX_BUFFERED, Crowd, OverlapPolicy
from shared.ports.bus import ExecutionCancelled
from shared.ports.clock import Clock
from shared.ports.executions import Change, ExecutionRepository, RecordOutcome
from shared.ports.workflows import WorkflowRepository
from shared.use_cases.admission import crowd_of
from shared.use_cases.holders import in_slots
from shared.use_cases.plans import plan_of

_ROUNDS: Final = 20
"""So often others may be quicker, each time having done some of the work, before it is left."""


class WorkflowRef(NamedTuple):
    """Names a workflow."""

    tenant: str
    workflow_id: str

    @property
    def key(self) -> str:
        """The key of the workflow."""
        return workflow_key(self.tenant, self.workflow_id)


@dataclass(slots=True)
class Served:
    """What was done: runners are to be asked for `promoted` and `undoing`, and told of `aborted`.

    `undoing` are cancelled, and have something to undo before they end.
    """

    promoted: list[Execution] = field(default_factory=list)
    undoing: list[Execution] = field(default_factory=list)
    aborted: list[ExecutionCancelled] = field(default_factory=list)
    superseded: int = 0


@dataclass(frozen=True, slots=True)
class ServeBuffer:
    """Queues buffered executions of a workflow, the longest waiting first, in its free slots.

    Where the newest replaces all others, those are superseded or cancelled first. The
    present policy counts, not the one they were buffered under. It may be done at any
    time, by anyone, and by several at once: unique keys and the number of events decide.
    """

    workflows: WorkflowRepository
    executions: ExecutionRepository
    clock: Clock
    timing: Timing

    async def __call__(self, ref: WorkflowRef) -> Served:
        """Do what can be done now. Raises Unavailable."""
        served = Served()
        workflow = await self.workflows.get(ref.tenant, ref.workflow_id)
        if workflow is None:
            return served
        policy = workflow.definition.overlap_policy
        for _ in range(_ROUNDS):
            crowd = await crowd_of(self.executions, ref.key)
            if not crowd.places or not await self._round(ref.key, policy, crowd, served):
                break
        return served

    async def _round(self, key: str, policy: OverlapPolicy, crowd: Crowd, served: Served) -> bool:
        """Do one step; False if nothing more can be done until something else happens."""
        if policy.replaces and not await self._replace(key, crowd, served):
            return False
        free = list(policy.free_slots(crowd))
        if not free:
            return policy.replaces
        waiting = await self.executions.buffered(key, len(free))
        # One after the other, so that the one that waits longest is the first to go on.
        for execution, slot in zip(waiting, free, strict=False):
            now = self.clock.now()
            queued = transitions.promote(execution, slot, now, now + self.timing.resend)
            if await self._record(execution, queued):
                served.promoted.append(queued)
        return True

    async def _replace(self, key: str, crowd: Crowd, served: Served) -> bool:
        """Leave the newest alone; False while it has to wait for what is being undone."""
        waiting = await self.executions.buffered(key, MAX_BUFFERED)
        holders = await in_slots(self.executions, key, crowd)
        newest = max((*waiting, *holders), key=lambda e: e.age, default=None)
        for execution in waiting:
            if execution is not newest:
                now = self.clock.now()
                skipped = transitions.supersede(execution, now, self.timing.retention)
                served.superseded += await self._record(execution, skipped)
        others = [holder for holder in holders if holder is not newest]
        ended = [await self._cancel(holder, served) for holder in others]
        return all(ended)

    async def _cancel(self, holder: Execution, served: Served) -> bool:
        """Cancel what runs; False if it is, or was already, on its way to undo what it did."""
        execution = await self.executions.get(holder.tenant, holder.id)
        if execution is None or execution.status not in UNFINISHED:
            return True
        if execution.ending is not None:
            return False
        plan = await plan_of(self.workflows, execution)
        cancelled = operations.cancel(plan, execution, self.clock.now(), self.timing)
        if not await self._record(execution, cancelled):
            return True
        if execution.lease is not None:
            served.aborted.append(ExecutionCancelled(execution.id, cancelled.last_token))
        if cancelled.status is Status.QUEUED:
            served.undoing.append(cancelled)
        return cancelled.status is not Status.QUEUED

    async def _record(self, before: Execution, after: Execution) -> bool:
        (outcome,) = await self.executions.record([Change(before, after)])
        return outcome is RecordOutcome.APPLIED
