"""Pausing workflows whose schedule only fails, before they fire once more."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from scheduler_svc.metrics import SchedulerMetrics
from shared.domain.due import DueWorkflow
from shared.domain.pause import Pause
from shared.domain.pausing import failing
from shared.ports.ledger import OccurrenceLedger
from shared.ports.workflows import WorkflowRepository

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class HaltFailing:
    """Acts on `pauseOnFailure`; a workflow without it costs nothing.

    What it decides by is read from storage each time, so a crash before the pause is
    stored changes nothing: the next scheduler comes to the same decision.
    """

    workflows: WorkflowRepository
    ledger: OccurrenceLedger
    metrics: SchedulerMetrics

    async def __call__(self, present: Sequence[DueWorkflow], now: datetime) -> list[DueWorkflow]:
        """Return those that may go on; the others are paused. Raises Unavailable."""
        watched = [due for due in present if due.pause_on_failure and due.next_run_at <= now]
        if not watched:
            return list(present)
        halted = await asyncio.gather(*(self._halts(due, now) for due in watched))
        gone = {due.key for due, is_halted in zip(watched, halted, strict=True) if is_halted}
        return [due for due in present if due.key not in gone]

    async def _halts(self, due: DueWorkflow, now: datetime) -> bool:
        """Tell whether a workflow must not fire; it is paused, by this scheduler or another."""
        limit = due.pause_on_failure or 0
        ended = await self.ledger.ended(due.tenant, due.workflow_id, due.resumed_at, limit)
        reason = failing(limit, ended)
        if reason is None:
            return False
        if await self.workflows.pause(due, Pause(now, reason)):
            self.metrics.paused.inc()
            log.warning("workflow.paused", workflowId=due.workflow_id, why=reason)
        return True
