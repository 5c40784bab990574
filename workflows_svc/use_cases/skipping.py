"""Recording the instants of a workflow for which nothing is going to run."""

from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.due import DueWorkflow
from shared.domain.execution import Skip
from shared.domain.occurrences import counts, recorded_until, skipped_occurrence
from shared.domain.outcomes import Timing
from shared.domain.schedule import missed_after
from shared.ports.executions import AddOutcome, ExecutionRepository


@dataclass(frozen=True, slots=True)
class Recorded:
    """How far the records of a trigger reach, and what was found and made on the way there.

    `fires` is how many instants had fired, which nobody may have counted yet; `skip` what
    was not on record yet.
    """

    until: datetime
    fires: int = 0
    skip: Skip | None = None


@dataclass(frozen=True, slots=True)
class RecordSkipped:
    """Adds one record for a run of instants, behind what is on record already.

    Its first instants may be: fired just before, or recorded by a call that crashed.
    That record may reach further than this one was to.
    """

    executions: ExecutionRepository
    timing: Timing

    async def __call__(
        self, due: DueWorkflow, skip: Skip, now: datetime, behind: datetime | None = None
    ) -> Recorded:
        """Record what was skipped, all of it or what is `behind` an instant. Raises Unavailable."""
        until = behind or skip.first
        rest = _behind(due, skip, behind) if behind else skip
        fires = 0
        while rest and fires != due.runs_left:
            record = skipped_occurrence(due, rest, now, self.timing)
            (outcome,) = await self.executions.add([record])
            if outcome is AddOutcome.ADDED:
                return Recorded(rest.last, fires, rest)
            there = await self.executions.get(due.tenant, record.id)
            fires += counts(there)
            until = recorded_until(there, rest.first)
            rest = _behind(due, rest, until)
        return Recorded(until, fires)


def _behind(due: DueWorkflow, skip: Skip, until: datetime) -> Skip | None:
    if until < skip.first:
        return skip
    left = missed_after(due.timetable, until, skip.last)
    return replace(skip, first=left.first, last=left.last, count=left.count) if left else None
