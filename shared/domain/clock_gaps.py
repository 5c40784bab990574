"""Local times that the clocks jump over: which ones a cron trigger names, and what is said of it.

What it skips is on record at the place of the gap on its timetable, as it has no instant.
"""

from datetime import datetime, timedelta

from shared.domain.cron_times import LocalTimes
from shared.domain.durations import MILLISECOND
from shared.domain.instants import format_instant as at
from shared.domain.jitter import delay_of
from shared.domain.local_time import SECOND, ClockShift, clock_shifts
from shared.domain.triggers import CronTrigger, OnGap
from shared.domain.workflow import Workflow
from shared.domain.zones import zone


def gap_at(trigger: CronTrigger, instant: datetime) -> tuple[datetime, ClockShift] | None:
    """Return the local time that the trigger names and the clocks jumped over just then.

    Just then means the instant at which clocks that had not been set would show it.
    """
    shifts = clock_shifts(zone(trigger.timezone), instant - timedelta(days=1), instant)
    for shift in shifts:
        local = (instant + shift.before).replace(tzinfo=None, microsecond=0)
        if (
            shift.is_gap
            and local < shift.end
            and LocalTimes.of(trigger).count(local, local + SECOND)
        ):
            return local, shift
    return None


def places_at(workflow: Workflow, instant: datetime) -> dict[str, datetime]:
    """Return where the gaps are that swallowed what triggers named at an instant, by their ids."""
    found: dict[str, datetime] = {}
    for name, trigger in workflow.definition.all_triggers.items():
        if isinstance(trigger, CronTrigger) and trigger.on_gap is OnGap.SKIP:
            gap = gap_at(trigger, instant)
            if gap is not None:
                delay = delay_of(trigger, workflow.tenant, workflow.id, name)
                found[name] = gap[1].eve + delay
    return found


def said_of_gap(workflow: Workflow, trigger_id: str, place: datetime, asked: datetime) -> str:
    """Say which local times a gap swallowed: the one that is asked for, or those of its place.

    There is nothing to say of a trigger that does not name them any more.
    """
    trigger = workflow.definition.all_triggers.get(trigger_id)
    if not isinstance(trigger, CronTrigger):
        return ""
    gap = None if asked == place else gap_at(trigger, asked)
    if gap is not None:
        return _missing(trigger, f"{gap[0]:%H:%M}", gap[1])
    eve = place - delay_of(trigger, workflow.tenant, workflow.id, trigger_id)
    for shift in clock_shifts(zone(trigger.timezone), eve, eve + MILLISECOND):
        if named := _named(trigger, shift):
            return _missing(trigger, named, shift)
    return ""


def missing_at(trigger: CronTrigger, instant: datetime) -> str:
    """Say what a trigger does for a local time that was jumped over just then, if it was."""
    gap = gap_at(trigger, instant)
    if gap is None:
        return ""
    local, shift = gap
    does = (
        "it does not fire then" if trigger.on_gap is OnGap.SKIP else f"it fires at {at(shift.at)}"
    )
    return f"{_missing(trigger, f'{local:%H:%M}', shift)}; {does} (onGap: {trigger.on_gap.value})"


def _named(trigger: CronTrigger, shift: ClockShift) -> str:
    times = LocalTimes.of(trigger)
    first = times.next_after(shift.start - SECOND)
    last = times.last_before(shift.end, shift.start)
    if first is None or last is None:
        return ""
    return f"{first:%H:%M}" if first == last else f"{first:%H:%M} to {last:%H:%M}"


def _missing(trigger: CronTrigger, times: str, shift: ClockShift) -> str:
    jump = f"clocks went from {shift.start:%H:%M} to {shift.end:%H:%M}"
    return f"{times} did not exist in {trigger.timezone} on {shift.start.date()}, as {jump}"
