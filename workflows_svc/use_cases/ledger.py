"""Reading the ledger: what became of the instants of a schedule, and why."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shared.domain.clock_gaps import places_at
from shared.domain.durations import MILLISECOND
from shared.domain.errors import FieldProblem, InvalidInput, NotFound
from shared.domain.execution import Execution, SkipReason, Status
from shared.domain.identity import occurrence_id
from shared.domain.jitter import timetable_from
from shared.domain.ledger import first_of, last_of
from shared.domain.moments import (
    clock_of,
    has,
    has_instant,
    is_missing,
    moved_by_jitter,
    read_moment,
)
from shared.domain.outcomes import Timing
from shared.domain.question import Account, Question, joined
from shared.domain.why_occurrence import by_jitter, why_occurrence
from shared.domain.workflow import Workflow
from shared.ports.clock import Clock
from shared.ports.executions import ExecutionQuery, ExecutionRepository
from shared.ports.ledger import OccurrenceLedger, OccurrenceQuery
from shared.ports.workflows import WorkflowRepository
from shared.use_cases.plans import definition_of
from workflows_svc.use_cases.definitions import DefineWorkflows
from workflows_svc.use_cases.endings import last_instants

_RAN: Final = frozenset(Status) - {Status.SKIPPED}
_MOST: Final = 100


@dataclass(frozen=True, slots=True)
class ReadLedger:
    """The questions about instants that have passed."""

    define: DefineWorkflows
    workflows: WorkflowRepository
    executions: ExecutionRepository
    ledger: OccurrenceLedger
    clock: Clock
    timing: Timing

    async def occurrences(self, query: OccurrenceQuery) -> list[Execution]:
        """Return a page of records, the latest instant first. Raises NotFound.

        Those of a deleted workflow are kept as long as any others.
        """
        if await self.workflows.get(query.tenant, query.workflow_id) is None:
            raise NotFound("workflow", query.workflow_id)
        return await self.ledger.find(query)

    async def why(self, tenant: str, workflow_id: str, text: str) -> tuple[datetime, Account]:
        """Return the instant that is meant, and what became of it.

        Raises NotFound, or InvalidInput for what is neither an instant nor a local time.
        """
        workflow = await self.define.get(tenant, workflow_id)
        clock = clock_of(workflow.definition.all_triggers)
        try:
            instant = read_moment(text, clock)
        except ValueError as error:
            raise InvalidInput([FieldProblem("path/instant", str(error))]) from error
        is_jumped = is_missing(text, clock)
        return instant, joined(await self._accounts(workflow, instant, is_jumped=is_jumped))

    async def _accounts(
        self, workflow: Workflow, instant: datetime, *, is_jumped: bool
    ) -> list[Account]:
        """Tell of an instant, and of those to which triggers move it by their jitter."""
        lasts = await last_instants(self.ledger, workflow)
        own = await self._records(workflow, instant)
        is_there = bool(own) or has_instant(workflow, instant, lasts)
        moved = {} if is_jumped else moved_by_jitter(workflow, instant, lasts)
        for record in own:
            moved.pop(record.trigger_id, None)
        accounts: list[Account] = []
        if is_there or not moved:
            # The instant of a time that was jumped over is also that of a later time, which may
            # fire.
            gaps = await self._swallowed(workflow, instant) if is_jumped or not is_there else ()
            accounts.append(await self._account(workflow, lasts, instant, gaps or own))
        for name, at in moved.items():
            told = await self._account(workflow, lasts, at, await self._records(workflow, at))
            accounts.append(by_jitter(told, workflow, name, at))
        return accounts

    async def _account(
        self,
        workflow: Workflow,
        lasts: Mapping[str, datetime],
        instant: datetime,
        records: tuple[Execution, ...],
    ) -> Account:
        question = Question(
            workflow=workflow,
            instant=instant,
            now=self.clock.now(),
            retention=self.timing.retention,
            lasts=lasts,
            records=records,
            holders=await self._holders(records),
        )
        return why_occurrence(question)

    async def _records(self, workflow: Workflow, instant: datetime) -> tuple[Execution, ...]:
        """Return what stands for an instant, the schedule's own record before backfills."""
        query = OccurrenceQuery(
            tenant=workflow.tenant,
            workflow_id=workflow.id,
            since=instant,
            until=instant + MILLISECOND,
            limit=_MOST,
        )
        found = await self.ledger.find(query)
        own = [record for record in found if await self._stands_for(record, instant)]
        return tuple(sorted(own, key=lambda record: record.id))

    async def _swallowed(self, workflow: Workflow, instant: datetime) -> tuple[Execution, ...]:
        """Return the records of clock gaps that swallowed what an instant would be."""
        tenant, name = workflow.tenant, workflow.id
        ids = [
            occurrence_id(tenant, name, trigger_id, place)
            for trigger_id, place in places_at(workflow, instant).items()
        ]
        found = [await self.executions.get(tenant, each) for each in ids]
        return tuple(record for record in found if record is not None)

    async def _stands_for(self, record: Execution, instant: datetime) -> bool:
        """Tell whether an instant that lies in a range is one of those that the range counts."""
        if instant in {first_of(record), last_of(record)}:
            return True
        definition = await definition_of(self.workflows, record)
        trigger = definition.all_triggers.get(record.trigger_id) if definition else None
        if trigger is None:
            return False
        timetable = timetable_from(
            trigger, record.tenant, record.workflow_id, record.trigger_id, first_of(record)
        )
        return timetable is not None and has(timetable, instant)

    async def _holders(self, records: Iterable[Execution]) -> dict[str, Execution]:
        """Return what held the workflow when occurrences came, by the ids of their records."""
        found = {record.id: await self._holder(record) for record in records}
        return {record_id: holder for record_id, holder in found.items() if holder is not None}

    async def _holder(self, record: Execution) -> Execution | None:
        """Return the execution that an occurrence met."""
        if record.skip is None or record.skip.reason is not SkipReason.OVERLAP:
            return None
        met = record.created_at
        query = ExecutionQuery(
            tenant=record.tenant,
            workflow_id=record.workflow_id,
            statuses=_RAN,
            created_to=met + MILLISECOND,
            limit=5,
        )
        found = await self.executions.find(query)
        return next((e for e in found if e.finished_at is None or e.finished_at >= met), None)
