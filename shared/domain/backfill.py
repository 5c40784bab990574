"""Which instants of a range are to be run after the fact, and under which names."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import takewhile
from typing import Final

from shared.domain import transitions
from shared.domain.durations import MILLISECOND
from shared.domain.errors import FieldProblem, InvalidInput
from shared.domain.execution import UNFINISHED, Execution, Status
from shared.domain.identity import occurrence_id
from shared.domain.moments import is_owed, timetables_since
from shared.domain.outcomes import Timing
from shared.domain.overlap import MAX_BACKFILLED
from shared.domain.plan import deadline, initial_retries
from shared.domain.timetable import fires_after, rules_of
from shared.domain.workflow import Workflow

MOST: Final = MAX_BACKFILLED
"""So many instants a backfill may have."""


class Existing(StrEnum):
    """What is run although something ran for it already: nothing, what failed, or all of it.

    What is not done yet is never run beside itself.
    """

    NONE = "none"
    FAILED = "failed"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Rerun:
    """An instant of a trigger to be run, the id of its execution, and what ran last, if any."""

    instant: datetime
    trigger_id: str
    execution_id: str
    last: Execution | None


@dataclass(frozen=True, slots=True)
class BackfillPlan:
    """What is to be run, earliest first; for how many instants something ran already (`left`).

    What is `owed` is at or behind the place of its trigger: the schedule itself still has to
    deal with so many, and would run or record them beside the backfill.
    """

    runs: tuple[Rerun, ...]
    left: int
    owed: int


def instants_of(
    workflow: Workflow, since: datetime, until: datetime, lasts: Mapping[str, datetime]
) -> list[tuple[datetime, str]]:
    """Return the instants from `since` on and before `until`, each with its trigger, in order.

    The present timetables are reckoned back also beyond the creation of the workflow; of
    `lasts` see `timetables_since`.
    Raises InvalidInput for a workflow that has none, and for more instants than a
    backfill may have.
    """
    timetables = timetables_since(workflow, since - MILLISECOND, lasts)
    if not timetables:
        place = "/trigger" if workflow.definition.triggers is None else "/triggers"
        said = f"of '{workflow.id}' has no schedule to go by: it is not periodic, cron or once"
        raise InvalidInput([FieldProblem(place, said)])
    before, last = since - MILLISECOND, until - MILLISECOND
    count = sum(timetable.count(before, last) for timetable in timetables.values())
    if count > MOST:
        said = f"makes it {count} instants; a backfill may have {MOST}"
        raise InvalidInput([FieldProblem("/to", said)])
    return sorted(
        (at, name)
        for name, timetable in timetables.items()
        for at in takewhile(lambda at: at < until, fires_after(timetable, before))
    )


def plan_backfill(
    workflow: Workflow,
    instants: Iterable[tuple[datetime, str]],
    existing: Existing,
    ran: Sequence[Execution],
) -> BackfillPlan:
    """Decide what to run. `ran` are the executions of the schedule and of earlier backfills.

    They are to be read after the workflow was, so that what is before the places of its
    triggers is on record.
    """
    known: dict[tuple[datetime, str], list[Execution]] = defaultdict(list)
    for execution in ran:
        if execution.scheduled_for is not None:
            known[execution.scheduled_for, execution.trigger_id].append(execution)
    runs, left, owed = [], 0, 0
    for instant, trigger_id in instants:
        if is_owed(workflow, trigger_id, instant):
            owed += 1
            continue
        last = max(known.get((instant, trigger_id), ()), key=_run, default=None)
        if last is not None and not _is_wanted(last, existing):
            left += 1
            continue
        run = 1 + (_run(last) if last else 0)
        own = occurrence_id(workflow.tenant, workflow.id, trigger_id, instant, run)
        runs.append(Rerun(instant, trigger_id, own, last))
    return BackfillPlan(tuple(runs), left, owed)


def _is_wanted(last: Execution, existing: Existing) -> bool:
    if last.status in UNFINISHED:
        return False
    if existing is Existing.FAILED:
        return last.status is Status.FAILED
    return existing is Existing.ALL


def _run(execution: Execution) -> int:
    """Return which run of its instant an execution is: 0 is that of the schedule."""
    return int(execution.id.rpartition(":")[2])


def rerun(workflow: Workflow, run: Rerun, now: datetime, timing: Timing) -> Execution:
    """Return the execution that runs an instant after the fact, as if it could run at once."""
    definition = workflow.definition
    born = Execution(
        id=run.execution_id,
        tenant=workflow.tenant,
        workflow_id=workflow.id,
        version=workflow.version,
        trigger_id=run.trigger_id,
        status=Status.QUEUED,
        created_at=now,
        scheduled_for=run.instant,
        deadline=deadline(definition, now),
        retries_left=initial_retries(definition),
        active_key=workflow.key,
    )
    rules = rules_of(definition.all_triggers[run.trigger_id])
    return transitions.queue(born, now + timing.resend, rules)
