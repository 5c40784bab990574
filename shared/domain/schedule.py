"""Which instants of a periodic trigger are due, and which were missed.

Instants are anchored: each is the one before plus the interval, so lateness
never accumulates into drift.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Missed:
    """A run of instants that passed unserved: first, last and how many."""

    first: datetime
    last: datetime
    count: int


@dataclass(frozen=True, slots=True)
class DuePlan:
    """What to do now: fire `fire_at`, record `missed` (if any), then wait for `next_run_at`."""

    fire_at: datetime
    missed: Missed | None
    next_run_at: datetime


@dataclass(frozen=True, slots=True)
class AllRecorded:
    """Others have done everything; wait for `next_run_at`."""

    next_run_at: datetime


def plan_due(next_run_at: datetime, interval: timedelta, now: datetime) -> DuePlan | None:
    """Plan a periodic trigger whose next instant is `next_run_at`; None if it is not due.

    When several instants have passed, the latest fires and the others are missed.
    """
    if next_run_at > now:
        return None
    passed = (now - next_run_at) // interval
    fire_at = next_run_at + passed * interval
    missed = Missed(next_run_at, fire_at - interval, passed) if passed else None
    return DuePlan(fire_at=fire_at, missed=missed, next_run_at=fire_at + interval)


def unrecorded(
    plan: DuePlan, interval: timedelta, recorded_until: datetime
) -> DuePlan | AllRecorded:
    """Return what is left of a plan when all instants up to `recorded_until` have a record.

    Somebody else may have begun the same plan at another moment, and fired or
    skipped further than this one means to; then the next instant is the one after
    theirs, lest what is on record be recorded once more.
    """
    if recorded_until >= plan.fire_at:
        return AllRecorded(recorded_until + interval)
    missed = missed_after(recorded_until, plan.fire_at - interval, interval)
    return DuePlan(plan.fire_at, missed, plan.next_run_at)


def missed_after(recorded_until: datetime, last: datetime, interval: timedelta) -> Missed | None:
    """Return the instants behind `recorded_until` up to `last`, or None if there are none."""
    count = (last - recorded_until) // interval
    return Missed(recorded_until + interval, last, count) if count > 0 else None


def resume_plan(
    next_run_at: datetime, interval: timedelta, now: datetime
) -> tuple[Missed, datetime] | None:
    """Plan for a trigger that was off: every instant up to `now` is missed and none fires.

    Returns what was missed and the first instant after `now`, or None if no instant passed.
    """
    if next_run_at > now:
        return None
    count = (now - next_run_at) // interval + 1
    last = next_run_at + (count - 1) * interval
    return Missed(next_run_at, last, count), last + interval
