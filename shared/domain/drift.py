"""Whether a workflow keeps up with its schedule: executions that take longer than the interval."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import islice, pairwise
from math import ceil
from typing import Final

from shared.domain.due import instants_after
from shared.domain.durations import format_duration
from shared.domain.execution import Execution, SkipReason
from shared.domain.schedule_warnings import ScheduleWarning
from shared.domain.workflow import Workflow

_FEWEST: Final = 5
"""Of fewer executions nothing is concluded."""

_AHEAD: Final = 10


def drift_warnings(
    workflow: Workflow, recent: Sequence[Execution], now: datetime
) -> list[ScheduleWarning]:
    """Warn if 95 of 100 recent executions last longer than the time between two instants.

    Where most occurrences are skipped because one execution goes on and on, few have ended;
    then the skipped ones tell.
    """
    scheduled = [execution for execution in recent if execution.scheduled_for is not None]
    interval = shortest_interval(workflow, now)
    if interval is None or len(scheduled) < _FEWEST:
        return []
    said = _slow(scheduled, interval) or _overlapping(scheduled)
    return [ScheduleWarning("/trigger", said)] if said else []


def shortest_interval(workflow: Workflow, now: datetime) -> timedelta | None:
    """Return the shortest time between two of the next instants, None if there are not two."""
    ahead = [at for at, _ in islice(instants_after(workflow, now, now), _AHEAD)]
    return min((b - a for a, b in pairwise(ahead) if a < b), default=None)


def _slow(scheduled: Sequence[Execution], interval: timedelta) -> str | None:
    lasted = sorted(
        execution.finished_at - execution.started_at
        for execution in scheduled
        if execution.finished_at is not None and execution.started_at is not None
    )
    if len(lasted) < _FEWEST:
        return None
    usual = lasted[ceil(0.95 * len(lasted)) - 1]
    if usual <= interval:
        return None
    return (
        f"is too frequent: of the last {len(lasted)} executions, 95 % took up to "
        f"{format_duration(usual)}, but there are only {format_duration(interval)} between two "
        "instants"
    )


def _overlapping(scheduled: Sequence[Execution]) -> str | None:
    met = sum(e.skip is not None and e.skip.reason is SkipReason.OVERLAP for e in scheduled)
    if 2 * met <= len(scheduled):
        return None
    return (
        f"is too frequent: {met} of the last {len(scheduled)} occurrences met an execution that "
        "was not done"
    )
