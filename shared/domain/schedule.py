"""Which instants of a timetable are due, and which were missed.

Instants come from the timetable alone, never from when something ran, so lateness
never accumulates into drift.
"""

from dataclasses import dataclass
from datetime import datetime

from shared.domain.durations import MILLISECOND
from shared.domain.timetable import Timetable


@dataclass(frozen=True, slots=True)
class Missed:
    """A run of instants that passed unserved: first, last and how many."""

    first: datetime
    last: datetime
    count: int


@dataclass(frozen=True, slots=True)
class DuePlan:
    """What to do now: fire `fire_at`, record `missed` (if any), then wait for `next_run_at`.

    Without a `next_run_at` the trigger has come to its end.
    """

    fire_at: datetime
    missed: Missed | None
    next_run_at: datetime | None


@dataclass(frozen=True, slots=True)
class AllRecorded:
    """Others have done everything; wait for `next_run_at`."""

    next_run_at: datetime | None


def plan_due(timetable: Timetable, next_run_at: datetime, now: datetime) -> DuePlan | None:
    """Plan a trigger whose next instant is `next_run_at`; None if it is not due.

    When several instants have passed, the latest fires and the others are missed.
    """
    if next_run_at > now:
        return None
    latest = timetable.latest_until(now, next_run_at)
    if latest is None:
        return DuePlan(next_run_at, None, timetable.next_after(next_run_at))
    missed = _passed(timetable, next_run_at, latest - MILLISECOND)
    return DuePlan(latest, missed, timetable.next_after(latest))


def unrecorded(
    plan: DuePlan, timetable: Timetable, recorded_until: datetime
) -> DuePlan | AllRecorded:
    """Return what is left of a plan when all instants up to `recorded_until` have a record.

    Somebody else may have begun the same plan at another moment, and fired or
    skipped further than this one means to; then the next instant is the one after
    theirs, lest what is on record be recorded once more.
    """
    if recorded_until >= plan.fire_at:
        return AllRecorded(timetable.next_after(recorded_until))
    missed = missed_after(timetable, recorded_until, plan.fire_at - MILLISECOND)
    return DuePlan(plan.fire_at, missed, plan.next_run_at)


def missed_after(timetable: Timetable, recorded_until: datetime, until: datetime) -> Missed | None:
    """Return the instants after `recorded_until` and up to `until`, or None if there are none."""
    first = timetable.next_after(recorded_until)
    return _passed(timetable, first, until) if first is not None and first <= until else None


def resume_plan(
    timetable: Timetable, next_run_at: datetime, now: datetime
) -> tuple[Missed, datetime | None] | None:
    """Plan for a trigger that was off: every instant up to `now` is missed and none fires.

    Returns what was missed and the first instant after `now`, if there is one; or None
    if no instant passed.
    """
    if next_run_at > now:
        return None
    missed = _passed(timetable, next_run_at, now)
    return missed, timetable.next_after(missed.last)


def _passed(timetable: Timetable, first: datetime, until: datetime) -> Missed:
    last = timetable.latest_until(until, first)
    if last is None:
        return Missed(first, first, 1)
    return Missed(first, last, timetable.count(first, last) + 1)
