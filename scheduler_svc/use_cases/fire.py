"""Firing workflows at the instants of their triggers. The id of the occurrence is the guard."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from scheduler_svc.metrics import SchedulerMetrics
from shared.domain.errors import Unavailable
from shared.domain.execution import Execution, Skip, SkipReason
from shared.domain.identity import workflow_key
from shared.domain.occurrences import occurrence, overlapped, recorded_until, skipped_occurrence
from shared.domain.outcomes import Timing
from shared.domain.schedule import AllRecorded, DuePlan, plan_due, unrecorded
from shared.domain.workflow import DueWorkflow
from shared.ports.bus import ExecutionRequest, RequestPublisher
from shared.ports.clock import Clock
from shared.ports.executions import AddOutcome, ExecutionRepository
from shared.ports.workflows import Advance, Upcoming, WorkflowRepository

log = structlog.get_logger(__name__)
Planned = tuple[DueWorkflow, DuePlan]
Settled = tuple[DueWorkflow, DuePlan | AllRecorded]


@dataclass(frozen=True, slots=True)
class FireDueWorkflows:
    """Turns due workflows into queued executions, a batch at a time.

    Safe to repeat and to do twice at once: a crash after any step leaves work
    that the next call recognises by its ids. Raises Unavailable.

    What is due within `lead` is queued already, and its runner waits for the instant;
    so a thousand workflows begin together, although to queue them takes a while.
    """

    workflows: WorkflowRepository
    executions: ExecutionRepository
    publisher: RequestPublisher
    clock: Clock
    timing: Timing
    metrics: SchedulerMetrics
    lead: timedelta = timedelta()

    async def __call__(self, upcoming: Sequence[Upcoming]) -> list[Upcoming]:
        """Fire those that are still due; return when each is due next."""
        keys = {workflow_key(item.tenant, item.workflow_id) for item in upcoming}
        present = await self.workflows.read_due(keys)
        now = self.clock.now()
        planned = [
            (due, plan)
            for due in present
            if (plan := plan_due(due.timetable, due.next_run_at, self._as_of(due, now)))
        ]
        settled = await self._record_missed(planned)
        queued, too_early = await self._queue(settled)
        done = [(due, plan) for due, plan in settled if due.key not in too_early]
        await asyncio.gather(self._advance(done), self._announce(queued))
        handled = {due.key for due, _ in done}
        return [
            Upcoming(due.tenant, due.workflow_id, plan.next_run_at)
            for due, plan in done
            if plan.next_run_at is not None
        ] + [
            Upcoming(due.tenant, due.workflow_id, due.next_run_at)
            for due in present
            if due.key not in handled
        ]

    def _as_of(self, due: DueWorkflow, now: datetime) -> datetime:
        """Take an instant that is close for reached; but never the one that follows it."""
        return max(now, min(due.next_run_at, now + self.lead))

    async def _record_missed(self, planned: Sequence[Planned]) -> list[Settled]:
        """Record the instants that passed unserved; return what remains to be done."""
        behind = [(due, plan) for due, plan in planned if plan.missed]
        if not behind:
            return list(planned)
        remaining: list[Settled] = [(due, plan) for due, plan in planned if not plan.missed]
        records = [self._missed_record(due, plan) for due, plan in behind]
        outcomes = await self.executions.add(records)
        for (due, plan), outcome in zip(behind, outcomes, strict=True):
            if outcome is AddOutcome.ADDED:
                self._count_missed(due, plan)
                remaining.append((due, plan))
            else:
                remaining.append((due, await self._continue(due, plan)))
        return remaining

    async def _continue(self, due: DueWorkflow, plan: DuePlan) -> DuePlan | AllRecorded:
        """Go on behind what somebody else (or this one, before a crash) recorded already."""
        rest: DuePlan | AllRecorded = plan
        while isinstance(rest, DuePlan) and rest.missed is not None:
            record = self._missed_record(due, rest)
            (outcome,) = await self.executions.add([record])
            if outcome is AddOutcome.ADDED:
                self._count_missed(due, rest)
                return rest
            there = await self.executions.get(due.tenant, record.id)
            until = recorded_until(there, rest.missed.first)
            rest = unrecorded(rest, due.timetable, until)
        return rest

    def _missed_record(self, due: DueWorkflow, plan: DuePlan) -> Execution:
        missed = plan.missed
        if missed is None:
            raise ValueError("the plan misses nothing")
        reason = Skip(SkipReason.MISSED, missed.first, missed.last, missed.count)
        return skipped_occurrence(due, reason, self.clock.now(), self.timing)

    async def _queue(self, settled: Sequence[Settled]) -> tuple[list[Execution], set[str]]:
        """Insert the occurrences; one that meets an unfinished execution is recorded as skipped.

        Unless its instant is still to come: then that may end in time. Returns what is
        queued, and the keys of the workflows that it is too early for.
        """
        now = self.clock.now()
        executions = [
            occurrence(due, plan.fire_at, now, self.timing)
            for due, plan in settled
            if isinstance(plan, DuePlan)
        ]
        outcomes = await self.executions.add(executions)
        results = list(zip(executions, outcomes, strict=True))
        busy = [execution for execution, outcome in results if outcome is AddOutcome.BUSY]
        overlaps = [overlapped(e, self.timing) for e in busy if not _is_ahead(e, now)]
        recorded = await self.executions.add(overlaps)
        self.metrics.skipped.labels("overlap").inc(recorded.count(AddOutcome.ADDED))
        queued = [execution for execution, outcome in results if outcome is AddOutcome.ADDED]
        self.metrics.fired.inc(len(queued))
        for execution in queued:
            late = now - (execution.scheduled_for or now)
            self.metrics.lateness.observe(max(late.total_seconds(), 0))
        early = [e for e in busy if _is_ahead(e, now)]
        return queued, {workflow_key(e.tenant, e.workflow_id) for e in early}

    async def _advance(self, settled: Sequence[Settled]) -> None:
        moves = [
            Advance(due.tenant, due.workflow_id, due.version, due.next_run_at, plan.next_run_at)
            for due, plan in settled
        ]
        await self.workflows.advance(moves)

    async def _announce(self, queued: Sequence[Execution]) -> None:
        """Send the requests; without a broker, `wakeAt` brings the executions back."""
        now = self.clock.now()
        requests = [ExecutionRequest(e.id, e.tenant, e.workflow_id, now) for e in queued]
        if not requests:
            return
        try:
            await self.publisher.publish(requests)
        except Unavailable as error:
            log.warning("occurrence.not_announced", count=len(requests), why=error.reason)

    def _count_missed(self, due: DueWorkflow, plan: DuePlan) -> None:
        if plan.missed:
            self.metrics.skipped.labels("missed").inc(plan.missed.count)
            log.warning(
                "occurrence.missed",
                workflowId=due.workflow_id,
                count=plan.missed.count,
                since=plan.missed.first.isoformat(),
                until=plan.missed.last.isoformat(),
            )


def _is_ahead(execution: Execution, now: datetime) -> bool:
    return execution.scheduled_for is not None and execution.scheduled_for > now
