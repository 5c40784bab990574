"""How far the instants of a due workflow have been dealt with, record by record."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Self

from shared.domain.due import DueWorkflow
from shared.domain.execution import Execution
from shared.domain.occurrences import counts, recorded_until
from shared.domain.schedule import Catching, Fire, Lapse, is_behind, next_step
from shared.domain.timetable import Timetable

_LOOK_AGAIN: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Course:
    """The way of a workflow along its timetable: all instants before `at` have their record.

    Without an `at` the trigger has come to its end. Instants up to `reached` are dealt
    with now. While it is `waiting`, the instant at `at` was reached, and waits for an
    unfinished execution to end. `fires` is how often the workflow fired on the way, by
    whomever.
    """

    due: DueWorkflow
    timetable: Timetable
    at: datetime | None
    reached: datetime
    fires: int = 0
    waiting: bool = False

    @classmethod
    def of(cls, due: DueWorkflow, now: datetime, lead: timedelta) -> Self:
        """Return the course of a workflow from its next instant on.

        That one is taken for reached if it is closer than `lead`, but never one behind it;
        nor where it depends on how others end: where it would wait or have them cancelled,
        or is not to fire after too many failures.
        """
        ahead = timedelta() if due.policy.buffers or due.pause_on_failure else lead
        reached = max(now, min(due.next_run_at, now + ahead))
        return cls(due, due.timetable, due.next_run_at, reached)

    def step(self) -> Fire | Lapse | None:
        """Say what is to be done next; None if there is nothing to do now."""
        if self.at is None or self.waiting:
            return None
        return next_step(self.timetable, self.at, self.reached, Catching.of(self.due.trigger))

    def past(self, at: datetime, record: Execution | None) -> Self:
        """Go on behind the record of the instant `at`, whoever made it.

        After as many fires as the trigger is limited to, nothing comes any more.
        """
        fires = self.fires + counts(record)
        if fires == self.due.runs_left:
            return replace(self, at=None, fires=fires)
        following = self.timetable.next_place(recorded_until(record, at))
        return replace(self, at=following, fires=fires)

    @property
    def counted_fires(self) -> int:
        """How many fires are to be added to the runs of the workflow, if those are limited."""
        return 0 if self.due.runs_left is None else self.fires

    @property
    def is_patient(self) -> bool:
        """Tell whether an instant of it may wait for an unfinished execution to end."""
        return Catching.of(self.due.trigger).every

    def waits(self, at: datetime, holders: Iterable[Execution], now: datetime) -> bool:
        """Tell whether an instant that meets unfinished executions waits for its turn.

        Ahead of itself it always does, as one of them may end in time.
        It does if everything is to be caught up with, and it comes late, or meets an
        execution of this trigger that came late: then others are behind it because of
        what nobody was there for. On time, the workflow is simply busy.
        """
        if at > now:
            return True
        if not self.is_patient:
            return False
        if is_behind(self.timetable, at, now):
            return True
        return any(self._came_late(holder) for holder in holders)

    def _came_late(self, holder: Execution) -> bool:
        if holder.scheduled_for is None or holder.trigger_id != self.due.trigger_id:
            return False
        return is_behind(self.timetable, holder.scheduled_for, holder.created_at)

    def next_look(self, now: datetime) -> datetime | None:
        """Return when to look at it again: what waits is looked at in whole seconds.

        So several who look at the same workflow do not add up to more looks.
        """
        if not self.waiting or (self.at is not None and self.at > now):
            return self.at
        return now.replace(microsecond=0) + _LOOK_AGAIN
