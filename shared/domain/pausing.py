"""Halting a workflow's schedule and letting it go on: nothing is replayed, nothing dropped.

A paused workflow keeps its place in the schedule. It is stored as one that is not
enabled, so whoever knows of no pauses leaves it alone too.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from shared.domain.due import DueWorkflow, Unserved, due_workflows, without_passed
from shared.domain.execution import Execution, Status
from shared.domain.pause import Pause
from shared.domain.schedule import Catching, Lapse, next_step
from shared.domain.workflow import Workflow, disable, known


def pause(workflow: Workflow, why: Pause) -> Workflow:
    """Return the workflow halted; it keeps its place in the schedule."""
    return replace(workflow, enabled=False, paused=why, updated_at=why.since)


def resume(workflow: Workflow, now: datetime) -> tuple[Workflow, list[Unserved]]:
    """Return a paused workflow going on, and the instants that passed and will not fire.

    Which ones fire, each trigger's way to catch up says; they are its next instants.
    """
    places: dict[str, datetime | None] = {**workflow.next_runs}
    lapsed: list[Unserved] = []
    for due in due_workflows(workflow):
        places[due.trigger_id] = _behind_lapses(due, now, lapsed)
    resumed = replace(workflow, enabled=True, paused=None, resumed_at=now, updated_at=now)
    return replace(resumed, next_runs=known(places)), lapsed


def _behind_lapses(due: DueWorkflow, now: datetime, lapsed: list[Unserved]) -> datetime | None:
    """Note the instants of a trigger that lapse; return the first one behind them."""
    timetable, at = due.timetable, due.next_run_at
    while isinstance(step := next_step(timetable, at, now, Catching.of(due.trigger)), Lapse):
        lapsed.append((due, step.missed))
        following = timetable.next_place(step.missed.last)
        if following is None:
            return None
        at = following
    return at


def give_up(workflow: Workflow, now: datetime) -> tuple[Workflow, list[Unserved]]:
    """Return a paused workflow switched off for good, and the instants that passed until now."""
    behind, unserved = without_passed(workflow, now)
    return disable(behind, now), unserved


def failing(limit: int, ended: Sequence[Execution]) -> str | None:
    """Return why a schedule is to be halted, if its last `limit` executions all failed.

    `ended` are those that ended, the latest first.
    """
    if len(ended) < limit:
        return None
    if any(execution.status is not Status.FAILED for execution in ended[:limit]):
        return None
    many = f"{limit} executions in a row failed" if limit > 1 else "an execution failed"
    return f"{many}, the last: {ended[0].id}"
