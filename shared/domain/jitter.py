"""Spreading the load: a trigger with a `jitter` fires a constant while after its instants."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.durations import MILLISECOND
from shared.domain.held import Held, Hold
from shared.domain.identity import workflow_key
from shared.domain.instants import LAST
from shared.domain.timetable import Timetable, timetable_of
from shared.domain.triggers import CronTrigger, ForeignTrigger, PeriodicTrigger, Trigger


def delay_of(
    trigger: Trigger | ForeignTrigger, tenant: str, workflow_id: str, trigger_id: str
) -> timedelta:
    """Return how much later a trigger fires: from 0 to less than its jitter, in milliseconds.

    It depends on nothing but what the trigger is called, so every service and every
    release finds the same; otherwise the ids of occurrences would not agree.
    """
    if not isinstance(trigger, PeriodicTrigger | CronTrigger) or trigger.jitter is None:
        return timedelta()
    name = f"{workflow_key(tenant, workflow_id)}:{trigger_id}"
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])
    return number % (trigger.jitter // MILLISECOND) * MILLISECOND


@dataclass(frozen=True, slots=True)
class Delayed:
    """A timetable (see Timetable) whose instants are those of another, each `by` so much later.

    None comes after 2999, but one may come after the `endAt` of its trigger: that
    limits the instants that are delayed.
    """

    timetable: Timetable
    by: timedelta

    def next_after(self, instant: datetime) -> datetime | None:
        """See Timetable.next_after."""
        return self._delayed(self.timetable.next_after(instant - self.by))

    def next_place(self, instant: datetime) -> datetime | None:
        """See Timetable.next_place."""
        return self._delayed(self.timetable.next_place(instant - self.by))

    def next_gap(self, since: datetime, until: datetime) -> datetime | None:
        """See Timetable.next_gap."""
        last = min(until, LAST) - self.by
        return self._delayed(self.timetable.next_gap(since - self.by, last))

    def swallowed(self, instant: datetime) -> int:
        """See Timetable.swallowed."""
        return self.timetable.swallowed(instant - self.by)

    def latest_until(self, instant: datetime, since: datetime) -> datetime | None:
        """See Timetable.latest_until."""
        until = min(instant, LAST) - self.by
        return self._delayed(self.timetable.latest_until(until, since - self.by))

    def count(self, since: datetime, until: datetime) -> int:
        """See Timetable.count."""
        return self.timetable.count(since - self.by, min(until, LAST) - self.by)

    def _delayed(self, at: datetime | None) -> datetime | None:
        return None if at is None or at > LAST - self.by else at + self.by


def delayed(timetable: Timetable | None, by: timedelta) -> Timetable | None:
    """Return a timetable that is so much later, if there is one and it is."""
    return Delayed(timetable, by) if timetable and by else timetable


def timetable_from(
    trigger: Trigger | ForeignTrigger,
    tenant: str,
    workflow_id: str,
    trigger_id: str,
    instant: datetime,
    hold: Hold | None = None,
) -> Timetable | None:
    """Return when a trigger fires of which one instant is known; plain intervals count from that.

    None is one that never fires by itself, or that cannot be read here. A `hold` counts
    if the instant is among those that it keeps.
    """
    if isinstance(trigger, ForeignTrigger):
        return None
    delay = delay_of(trigger, tenant, workflow_id, trigger_id)
    step = trigger.interval if isinstance(trigger, PeriodicTrigger) else timedelta()
    if hold is None or not hold.keeps(instant):
        return delayed(timetable_of(trigger, instant - delay - step), delay)
    plain = timetable_of(trigger, instant - hold.delay - step)
    before, after = delayed(plain, hold.delay), delayed(plain, delay)
    if before is None or after is None:
        return None
    return Held(before, hold.until, after, hold.until - hold.delay + delay)
