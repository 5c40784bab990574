"""What becomes of the instants of a timetable that have passed: each fires, or lapses.

Instants come from the timetable alone, never from when something ran, so lateness
never accumulates into drift. They are dealt with in order, in steps: each step begins
at the first instant that has no record yet, and leaves one record, which says how far
it reaches. So whoever repeats a step, or takes it at the same time with other plans,
finds the record of whoever was first, and goes on behind it. A clock gap that swallowed
local times is a step by itself, so no other lapse reaches over one.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from shared.domain.durations import MILLISECOND
from shared.domain.execution import SkipReason
from shared.domain.timetable import Timetable
from shared.domain.triggers import CatchUp, CronTrigger, PeriodicTrigger, Trigger

PUNCTUAL: Final = timedelta(minutes=1)
"""So late an instant still counts as on time: a scheduler that dies costs up to a lease."""

MOST_TO_CATCH_UP: Final = 100
"""So many instants may wait for their turn; when more have passed, the oldest lapse."""


@dataclass(frozen=True, slots=True)
class Missed:
    """A run of instants that passed unserved: first, last and how many.

    Or else a clock gap: its place on the timetable, and how many local times it swallowed.
    """

    first: datetime
    last: datetime
    count: int
    is_gap: bool = False

    def why(self, otherwise: SkipReason) -> SkipReason:
        """Return the reason on record; that of a gap is the gap, whatever else there was."""
        return SkipReason.GAP if self.is_gap else otherwise


@dataclass(frozen=True, slots=True)
class Fire:
    """The step that starts the workflow for one instant."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Lapse:
    """The step that lets instants pass without a run."""

    missed: Missed
    reason: SkipReason


@dataclass(frozen=True, slots=True)
class Catching:
    """How a trigger catches up: with each instant or the latest one, and how late at most."""

    every: bool = False
    window: timedelta | None = None

    @classmethod
    def of(cls, trigger: Trigger) -> "Catching":
        """Return how a trigger catches up."""
        if not isinstance(trigger, PeriodicTrigger | CronTrigger):
            return cls()
        window = trigger.catch_up_window
        if trigger.catch_up is CatchUp.NONE:
            window = min(window or PUNCTUAL, PUNCTUAL)
        return cls(trigger.catch_up is CatchUp.ALL, window)


def next_step(
    timetable: Timetable, at: datetime, now: datetime, catching: Catching
) -> Fire | Lapse | None:
    """Say what becomes of `at`, the first instant without a record; None if it has not come."""
    if at > now:
        return None
    if timetable.swallowed(at):
        return Lapse(_passed(timetable, at, at), SkipReason.GAP)
    if catching.window is not None and at < now - catching.window:
        gone = now - catching.window - MILLISECOND
        return Lapse(_passed(timetable, at, gone), SkipReason.WINDOW)
    if catching.every:
        return _one_of_all(timetable, at, now)
    latest = timetable.latest_until(now, at)
    if latest is None:
        return Fire(at)
    return Lapse(_passed(timetable, at, latest - MILLISECOND), SkipReason.MISSED)


def is_behind(timetable: Timetable, at: datetime, then: datetime) -> bool:
    """Tell whether the turn of `at` came too late for on time, as that of other instants had."""
    if then - at > PUNCTUAL:
        return True
    following = timetable.next_after(at)
    return following is not None and following <= then


def missed_after(timetable: Timetable, recorded_until: datetime, until: datetime) -> Missed | None:
    """Return the instants after `recorded_until` and up to `until`, or None if there are none."""
    first = timetable.next_after(recorded_until)
    return _passed(timetable, first, until) if first is not None and first <= until else None


def resume_plan(
    timetable: Timetable, next_run_at: datetime, now: datetime
) -> tuple[list[Missed], datetime | None]:
    """Plan for a trigger that was off: every instant up to `now` is missed and none fires.

    Returns what was missed, piece by piece, and the first place after `now`, if there is one.
    """
    missed: list[Missed] = []
    at: datetime | None = next_run_at
    while at is not None and at <= now:
        missed.append(_passed(timetable, at, now))
        at = timetable.next_place(missed[-1].last)
    return missed, at


def _one_of_all(timetable: Timetable, at: datetime, now: datetime) -> Fire | Lapse:
    if timetable.count(at, now) < MOST_TO_CATCH_UP:
        return Fire(at)
    kept = now
    for _ in range(MOST_TO_CATCH_UP):
        kept = (timetable.latest_until(kept, at) or at) - MILLISECOND
    return Lapse(_passed(timetable, at, kept), SkipReason.WINDOW)


def _passed(timetable: Timetable, first: datetime, until: datetime) -> Missed:
    """Return what passed from `first` on, up to `until` or to where a clock gap is."""
    if swallowed := timetable.swallowed(first):
        return Missed(first, first, swallowed, is_gap=True)
    gap = timetable.next_gap(first, until)
    last = timetable.latest_until(gap or until, first)
    if last is None:
        return Missed(first, first, 1)
    return Missed(first, last, timetable.count(first, last) + 1)
