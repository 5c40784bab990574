"""Firing workflows at the instants of their triggers. The id of the occurrence is the guard."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from scheduler_svc.metrics import SchedulerMetrics
from scheduler_svc.use_cases.halt import HaltFailing
from scheduler_svc.use_cases.promote import PromoteBuffered
from shared.domain.course import Course
from shared.domain.errors import Unavailable
from shared.domain.execution import Execution, Skip, Status
from shared.domain.identity import workflow_key
from shared.domain.ledger import first_of
from shared.domain.occurrences import occurrence, overlapped, skipped_occurrence
from shared.domain.outcomes import Timing
from shared.domain.schedule import Fire, Lapse
from shared.ports.bus import ExecutionRequest, RequestPublisher
from shared.ports.clock import Clock
from shared.ports.executions import AddOutcome, ExecutionRepository
from shared.ports.workflows import Advance, Upcoming, WorkflowRepository
from shared.use_cases.admission import Wanted, admit
from shared.use_cases.buffers import WorkflowRef
from shared.use_cases.holders import holders_of

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Taken:
    """A step that was taken: the record that was to be made, and what became of that."""

    course: Course
    record: Execution
    outcome: AddOutcome


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
    halt: HaltFailing
    promote: PromoteBuffered
    lead: timedelta = timedelta()

    async def __call__(self, upcoming: Sequence[Upcoming]) -> list[Upcoming]:
        """Fire those that are still due; return when each is to be looked at next."""
        keys = {workflow_key(item.tenant, item.workflow_id) for item in upcoming}
        found = await self.workflows.read_due(keys)
        present = await self.halt(found, self.clock.now())
        now = self.clock.now()
        courses = [Course.of(due, now, self.lead) for due in present]
        following: list[Upcoming] = []
        while courses:
            courses, done, added = await self._step(courses)
            queued = [e for e in added if e.status is Status.QUEUED]
            await asyncio.gather(self._advance(done), self._announce(queued))
            await self._serve_buffers(added)
            following += [
                Upcoming(course.due.tenant, course.due.workflow_id, at)
                for course in done
                if (at := course.next_look(now)) is not None
            ]
        return following

    async def _step(
        self, courses: Sequence[Course]
    ) -> tuple[list[Course], list[Course], list[Execution]]:
        """Take the next step of each course; return those with more, the others, and what fired."""
        steps = [(course, course.step()) for course in courses]
        lapses = [(course, step) for course, step in steps if isinstance(step, Lapse)]
        fires = [(course, step) for course, step in steps if isinstance(step, Fire)]
        taken = await self._record_lapses(lapses)
        waiting, fired = await self._queue(fires)
        moved = [*await self._behind_records([*taken, *fired]), *waiting]
        more: list[Course] = []
        done = [course for course, step in steps if step is None]
        for course in moved:
            (more if course.step() else done).append(course)
        return more, done, _added(fired)

    async def _serve_buffers(self, added: Sequence[Execution]) -> None:
        """Let on who waits: what they wait for may have ended just before they were there."""
        waiting = [e for e in added if e.status is Status.BUFFERED]
        await self.promote({WorkflowRef(e.tenant, e.workflow_id) for e in waiting})

    async def _record_lapses(self, lapses: Sequence[tuple[Course, Lapse]]) -> list[Taken]:
        """Record the instants that passed without a run."""
        if not lapses:
            return []
        now = self.clock.now()
        records = [
            skipped_occurrence(course.due, _skip(lapse), now, self.timing)
            for course, lapse in lapses
        ]
        outcomes = await self.executions.add(records)
        for (course, lapse), outcome in zip(lapses, outcomes, strict=True):
            if outcome is AddOutcome.ADDED:
                self._count_missed(course, lapse)
        courses = [course for course, _ in lapses]
        return list(map(Taken, courses, records, outcomes))

    async def _queue(
        self, fires: Sequence[tuple[Course, Fire]]
    ) -> tuple[list[Course], list[Taken]]:
        """Insert the occurrences; one for which there is no room is recorded as skipped.

        If it is to wait for its turn instead, its course is returned by itself.
        """
        if not fires:
            return [], []
        now = self.clock.now()
        wanted = [
            Wanted(occurrence(course.due, fire.at, now, self.timing), course.due.policy)
            for course, fire in fires
        ]
        results = await admit(self.executions, wanted)
        taken = [
            Taken(course, result.execution, result.outcome)
            for (course, _), result in zip(fires, results, strict=True)
        ]
        added = _added(taken)
        self.metrics.fired.inc(len(added))
        self.metrics.buffered.inc(sum(e.status is Status.BUFFERED for e in added))
        for execution in added:
            late = now - (execution.scheduled_for or now)
            self.metrics.lateness.observe(max(late.total_seconds(), 0))
        busy = [one for one in taken if one.outcome is AddOutcome.BUSY]
        waiting, overlaps = await self._parted(busy, now)
        skipped = await self._record_overlaps(overlaps)
        settled = [one for one in taken if one.outcome is not AddOutcome.BUSY]
        return waiting, settled + skipped

    async def _parted(
        self, busy: Sequence[Taken], now: datetime
    ) -> tuple[list[Course], list[Taken]]:
        """Part those that wait for an unfinished execution to end from those that do not."""
        patient = [one.course.due for one in busy if one.course.is_patient]
        held = await holders_of(self.executions, {due.key: due.policy for due in patient})
        waiting, others = [], []
        for one in busy:
            there = held.get(one.course.due.key)
            holders = there.holders if there else ()
            if one.course.waits(first_of(one.record), holders, now):
                waiting.append(replace(one.course, waiting=True))
            else:
                others.append(one)
        return waiting, others

    async def _record_overlaps(self, overlaps: Sequence[Taken]) -> list[Taken]:
        if not overlaps:
            return []
        records = [overlapped(one.record, self.timing) for one in overlaps]
        outcomes = await self.executions.add(records)
        self.metrics.skipped.labels("overlap").inc(outcomes.count(AddOutcome.ADDED))
        return list(map(Taken, [one.course for one in overlaps], records, outcomes))

    async def _behind_records(self, taken: Sequence[Taken]) -> list[Course]:
        """Return each course behind the record of the instant that it was at.

        If it was on record already, made by somebody else or by this one before a
        crash, that record says how far it reaches.
        """
        doubtful = [one.record for one in taken if one.outcome is not AddOutcome.ADDED]
        if not doubtful:
            return [one.course.past(first_of(one.record), one.record) for one in taken]
        there = await asyncio.gather(*(self.executions.get(r.tenant, r.id) for r in doubtful))
        found = {record.id: stored for record, stored in zip(doubtful, there, strict=True)}
        return [
            one.course.past(first_of(one.record), found.get(one.record.id, one.record))
            for one in taken
        ]

    async def _advance(self, done: Sequence[Course]) -> None:
        moves = [
            Advance(
                due.tenant,
                due.workflow_id,
                due.version,
                due.next_run_at,
                course.at,
                course.counted_fires,
                due.trigger_id if due.is_one_of_several else None,
            )
            for course in done
            if course.at != (due := course.due).next_run_at
        ]
        if moves:
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

    def _count_missed(self, course: Course, lapse: Lapse) -> None:
        missed = lapse.missed
        self.metrics.skipped.labels(lapse.reason.value).inc(missed.count)
        said = log.info if missed.is_gap else log.warning
        said(
            "occurrence.swallowed" if missed.is_gap else "occurrence.missed",
            workflowId=course.due.workflow_id,
            trigger=course.due.trigger_id,
            reason=lapse.reason.value,
            count=missed.count,
            since=missed.first.isoformat(),
            until=missed.last.isoformat(),
        )


def _added(taken: Sequence[Taken]) -> list[Execution]:
    return [
        one.record for one in taken if one.outcome is AddOutcome.ADDED and one.record.skip is None
    ]


def _skip(lapse: Lapse) -> Skip:
    missed = lapse.missed
    return Skip(lapse.reason, missed.first, missed.last, missed.count)
