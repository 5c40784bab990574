"""Looking ahead at a workflow: its next instants, and what is to be expected of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import chain, islice
from typing import Final

from shared.domain.due import due_workflows, instants_after
from shared.domain.execution import Execution, Status
from shared.domain.foresight import Ahead, Foreseen, Occupied, foresee
from shared.domain.timetable import fires_after
from shared.domain.workflow import Workflow

MOST_BEFORE: Final = 2_000
"""So many instants are reckoned through to find out what a later one meets."""


class Source(StrEnum):
    """Where the time that an execution is assumed to take comes from."""

    GIVEN = "given"
    MEASURED = "measured"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Assumed:
    """How long an execution is assumed to take, if there is anything to go by.

    If it was measured, it is the median of so many executions.
    """

    source: Source = Source.UNKNOWN
    length: timedelta | None = None
    executions: int | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is to come of a workflow; before `reckoned_from`, nothing was reckoned with."""

    workflow: Workflow
    assumed: Assumed
    instants: Sequence[Foreseen]
    reckoned_from: datetime | None = None


def measured(recent: Sequence[Execution]) -> Assumed:
    """Return the median of how long the scheduled ones of recent executions took.

    What was cancelled would have taken longer, nobody knows how much; if that is true of
    half of them, so is the median.
    """
    started = [e for e in recent if e.scheduled_for is not None and e.started_at is not None]
    cancelled = sum(e.status is Status.CANCELLED for e in started)
    lasted = sorted(
        e.finished_at - e.started_at
        for e in started
        if e.finished_at and e.started_at and e.status is not Status.CANCELLED
    )
    number = len(lasted) + cancelled
    middle = (number - 1) // 2
    if not lasted or middle >= len(lasted):
        return Assumed()
    return Assumed(Source.MEASURED, lasted[middle], number)


def occupied_by(
    workflow: Workflow, holders: Sequence[Execution], waiting: int, length: timedelta, now: datetime
) -> Occupied:
    """Return when the executions that hold a workflow end, if they take so long.

    One that has taken longer already is taken to end now; what is in backoff or waits for a
    timer holds its workflow at least until that. One that is queued ahead of an instant that
    is still to come is what is expected of that instant, and not in its way.
    """
    coming = {(due.trigger_id, due.timetable.next_after(now)) for due in due_workflows(workflow)}
    ends = (
        max(_begin(e, now) + length, e.next_attempt_at or now, now)
        for e in holders
        if (e.trigger_id, e.scheduled_for) not in coming
    )
    return Occupied(now, tuple(ends), waiting)


def _begin(execution: Execution, now: datetime) -> datetime:
    return execution.started_at or max(now, execution.scheduled_for or now)


def outlook(
    workflow: Workflow, since: datetime, count: int, assumed: Assumed, held: Occupied
) -> Outlook:
    """Look at the next `count` instants of a workflow after `since`, which is `held.at` or later.

    What those meet depends on the ones before. If too many lie between, the workflow is
    taken to be free at `since`.
    """
    length, now = assumed.length, held.at
    if length is None:
        due = islice(instants_after(workflow, since, now), count)
        return Outlook(workflow, assumed, [Foreseen(at, name) for at, name in due])
    policy = workflow.definition.overlap_policy
    reckoned = foresee(_ahead(workflow, now, now), policy, length, held)
    for _ in range(MOST_BEFORE):
        first = next(reckoned, None)
        if first is None or first.at > since:
            found = islice(chain([first] if first else [], reckoned), count)
            return Outlook(workflow, assumed, list(found), now)
    afresh = foresee(_ahead(workflow, since, now), policy, length, Occupied(since))
    return Outlook(workflow, assumed, list(islice(afresh, count)), since)


def _ahead(workflow: Workflow, since: datetime, now: datetime) -> list[Ahead]:
    """Return the instants of each trigger; those between `now` and `since` are taken to fire."""
    return [
        Ahead(
            due.trigger_id,
            fires_after(due.timetable, since),
            due.runs_left_after(since, now),
        )
        for due in due_workflows(workflow)
    ]
