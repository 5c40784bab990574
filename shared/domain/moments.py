"""A moment that somebody asks about, and where it lies in the timetable of a workflow."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.domain.cron_timetable import CronTimetable
from shared.domain.durations import MILLISECOND
from shared.domain.instants import WITH_OFFSET, parse_instant
from shared.domain.jitter import delay_of, timetable_from
from shared.domain.local_time import instant_at, local_at, offsets
from shared.domain.timetable import Timetable
from shared.domain.trigger_ids import AnyTrigger
from shared.domain.triggers import (
    CronTrigger,
    ForeignTrigger,
    ManualTrigger,
    OnFold,
    PeriodicTrigger,
)
from shared.domain.workflow import Workflow
from shared.domain.zones import zone

_LOCAL: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2})?")
_WANTED: Final = f"{WITH_OFFSET}; or a local time of the trigger, such as '2026-01-31T02:00'"
_FAR: Final = timedelta(days=3000)
"""As far back is looked for an instant: the longest that 29 February stays away is 8 years."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Which triggers have an instant, and which ones are nearest before and after it."""

    triggers: tuple[str, ...]
    before: datetime | None
    after: datetime | None


def read_moment(text: str, trigger: CronTrigger | None) -> datetime:
    """Read an instant, or a local time of the zone of a cron trigger (UTC, if there is none).

    A time that comes twice is the one at which the trigger fires, the first if at both;
    one that does not exist is what clocks that had not been set would show. Raises
    ValueError saying what would be right.
    """
    local = _local_in(text)
    if local is None:
        return parse_instant(text, _WANTED)
    if trigger is None:
        return local.replace(tzinfo=UTC)
    before, after = offsets(local, zone(trigger.timezone))
    second = before > after and trigger.on_fold is OnFold.SECOND
    return instant_at(local, after if second else before)


def is_missing(text: str, trigger: CronTrigger | None) -> bool:
    """Tell whether a text is a local time that does not exist in the zone of a cron trigger."""
    local = _local_in(text)
    if local is None or trigger is None:
        return False
    before, after = offsets(local, zone(trigger.timezone))
    return before < after


def _local_in(text: str) -> datetime | None:
    """Return the local time that a text is; None for one with an offset. Raises ValueError."""
    if not _LOCAL.fullmatch(text):
        return None
    seconds = "" if text.count(":") > 1 else ":00"
    return parse_instant(f"{text.replace(' ', 'T')}{seconds}Z").replace(tzinfo=None)


def moment(workflow: Workflow, instant: datetime, lasts: Mapping[str, datetime]) -> Moment | None:
    """Return where an instant lies; None if no trigger of the workflow ever fires by itself.

    Of `lasts` see `timetables_since`.
    """
    timetables = whole_timetables(workflow, lasts)
    if not timetables:
        return None
    earlier = [t.latest_until(instant - MILLISECOND, instant - _FAR) for t in timetables.values()]
    later = [t.next_after(instant) for t in timetables.values()]
    return Moment(
        tuple(name for name, timetable in timetables.items() if has(timetable, instant)),
        max((at for at in earlier if at is not None), default=None),
        min((at for at in later if at is not None), default=None),
    )


def clock_of(triggers: Mapping[str, AnyTrigger]) -> CronTrigger | None:
    """Return the trigger whose local time is meant by one without an offset: the first cron."""
    return next((t for t in triggers.values() if isinstance(t, CronTrigger)), None)


def has(timetable: Timetable, instant: datetime) -> bool:
    """Tell whether an instant is one of a timetable."""
    return timetable.next_after(instant - MILLISECOND) == instant


def has_instant(workflow: Workflow, instant: datetime, lasts: Mapping[str, datetime]) -> bool:
    """Tell whether an instant is one of the present timetables of a workflow."""
    return any(has(timetable, instant) for timetable in whole_timetables(workflow, lasts).values())


def whole_timetables(workflow: Workflow, lasts: Mapping[str, datetime]) -> dict[str, Timetable]:
    """Return the present timetables of a workflow, reckoned back to when it was created."""
    return timetables_since(workflow, workflow.created_at, lasts)


def timetables_since(
    workflow: Workflow, since: datetime, lasts: Mapping[str, datetime]
) -> dict[str, Timetable]:
    """Return the present timetables of a workflow as if it had been created at `since`.

    Where a trigger has its next instant, its intervals count from that; where it has come to
    its end, from the last one on record, which `lasts` has by the trigger's id; and where
    nothing is on record any more, from when the workflow was created.
    """
    found = {
        name: timetable_from(
            trigger, workflow.tenant, workflow.id, name, _origin(workflow, name, since, lasts)
        )
        for name, trigger in workflow.definition.all_triggers.items()
    }
    return {name: timetable for name, timetable in found.items() if timetable is not None}


def _origin(
    workflow: Workflow, name: str, since: datetime, lasts: Mapping[str, datetime]
) -> datetime:
    """Return the first instant that a periodic trigger could have had after `since`."""
    trigger = workflow.definition.all_triggers[name]
    if not isinstance(trigger, PeriodicTrigger):
        return since
    delay = delay_of(trigger, workflow.tenant, workflow.id, name)
    one = workflow.next_runs.get(name) or lasts.get(name) or workflow.created_at + delay
    hold = workflow.holds.get(name)
    if hold is not None and hold.keeps(one):
        # The timetable is reckoned with the present jitter, the next instant is not.
        one += delay - hold.delay
    return one - (one - since - MILLISECOND) // trigger.interval * trigger.interval


def moved_by_jitter(
    workflow: Workflow, instant: datetime, lasts: Mapping[str, datetime]
) -> dict[str, datetime]:
    """Return when triggers fire instead whose authors named an instant, by the triggers' ids.

    Those that have the instant itself are not among them. Of `lasts` see `timetables_since`.
    """
    found: dict[str, datetime] = {}
    for name, timetable in whole_timetables(workflow, lasts).items():
        trigger = workflow.definition.all_triggers[name]
        moved = instant + delay_of(trigger, workflow.tenant, workflow.id, name)
        if has(timetable, moved) and not has(timetable, instant):
            found[name] = moved
    return found


def ended(workflow: Workflow) -> list[str]:
    """Return which triggers fire by themselves and have come to their end."""
    return [
        name
        for name, trigger in workflow.definition.all_triggers.items()
        if not isinstance(trigger, ManualTrigger | ForeignTrigger)
        and name not in workflow.next_runs
    ]


def is_owed(workflow: Workflow, trigger_id: str, instant: datetime) -> bool:
    """Tell whether the schedule still has to deal with an instant of a trigger."""
    place = workflow.next_runs.get(trigger_id)
    return place is not None and instant >= place


def is_excluded(trigger: CronTrigger, instant: datetime) -> bool:
    """Tell whether nothing but its date keeps a trigger from firing at an instant."""
    if local_at(instant, zone(trigger.timezone))[0].date() not in trigger.exclude:
        return False
    return has(CronTimetable.of(trigger.model_copy(update={"exclude": ()})), instant)
