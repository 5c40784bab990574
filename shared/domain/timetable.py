"""When a trigger fires by itself: its instants, one after the other, without a clock."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol, assert_never

from shared.domain.cron_timetable import CronTimetable
from shared.domain.grid import Grid
from shared.domain.triggers import (
    CronTrigger,
    ForeignTrigger,
    ManualTrigger,
    OnceTrigger,
    PeriodicTrigger,
    Trigger,
)
from shared.domain.zones import tzdata_version

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ANY: Final = timedelta(days=1)


class Timetable(Protocol):
    """The instants at which a trigger fires, in order and each once, until the year 2999 ends.

    A clock gap that swallows local times of it, and for which it does not fire either, has a
    place among them, the last millisecond before the clocks jump: no fire lies there.
    """

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first one after `instant`, or None if there is none any more."""
        ...

    def next_place(self, instant: datetime) -> datetime | None:
        """Return the first fire, or place of a gap, after `instant`; None if there is none."""
        ...

    def next_gap(self, since: datetime, until: datetime) -> datetime | None:
        """Return the first place of a gap after `since` and not after `until`, if there is one.

        No record of instants that lapse reaches over it.
        """
        ...

    def swallowed(self, instant: datetime) -> int:
        """Return how many local times the gap at a place swallowed; 0 where it fires.

        By other rules of the zone there may be no gap any more at the place of one. It is no
        fire then either, and counts 1.
        """
        ...

    def latest_until(self, instant: datetime, since: datetime) -> datetime | None:
        """Return the last one that is not after `instant`, or None if none is after `since`."""
        ...

    def count(self, since: datetime, until: datetime) -> int:
        """Return how many are after `since` and not after `until`."""
        ...


def fires_after(timetable: Timetable, since: datetime) -> Iterator[datetime]:
    """Yield the instants of a timetable after `since`, in order."""
    at = timetable.next_after(since)
    while at is not None:
        yield at
        at = timetable.next_after(at)


def timetable_of(trigger: Trigger, created_at: datetime) -> Timetable | None:
    """Return when a trigger fires, or None for one that never does by itself.

    `created_at` is where the intervals of a periodic trigger count from that
    says nothing else: when its workflow was created, or the trigger changed.
    """
    match trigger:
        case PeriodicTrigger():
            return _periodic(trigger, created_at)
        case CronTrigger():
            return CronTimetable.of(trigger)
        case OnceTrigger():
            # One instant is a grid that ends where it begins.
            return Grid(trigger.at, _ANY, trigger.at)
        case ManualTrigger():
            return None
    assert_never(trigger)


def rules_of(trigger: Trigger | ForeignTrigger) -> str | None:
    """Return the version of the zones' rules that the instants of a trigger depend on, if any."""
    return tzdata_version() if isinstance(trigger, CronTrigger) else None


def _periodic(trigger: PeriodicTrigger, created_at: datetime) -> Grid:
    interval, start = trigger.interval, trigger.start_at
    if trigger.phase is None:
        return Grid(start or created_at + interval, interval, trigger.end_at)
    aligned = Grid(_EPOCH + trigger.phase, interval, None)
    first = aligned.first_from(start) if start else aligned.first
    return Grid(first, interval, trigger.end_at)
