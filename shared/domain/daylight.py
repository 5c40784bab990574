"""Warnings about local times that the clocks jump over or show twice.

A schedule that fires at least every hour is left in peace as long as setting
the clocks makes nobody wait longer than usual: `*/5 * * * *` loses nothing in a
gap, and nothing in a fold either if it fires both times. Fired the first time
only, it pauses for an hour, and that is worth a warning. Times of one minute
count as one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Final

from shared.domain.cron_times import LocalTimes
from shared.domain.durations import format_duration
from shared.domain.local_time import SECOND, ClockShift, clock_shifts
from shared.domain.triggers import CronTrigger, OnFold, OnGap, Trigger
from shared.domain.zones import zone

_YEAR: Final = timedelta(days=365.25)
_FORESIGHT: Final = 3 * _YEAR
_FREQUENT: Final = timedelta(hours=1)
_TWICE: Final = 2
_TIMES: Final = {
    OnFold.FIRST: "the first time",
    OnFold.SECOND: "the second time",
    OnFold.BOTH: "both times",
}


@dataclass(frozen=True, slots=True)
class DaylightWarning:
    """Local times of a schedule that a zone lacks, or has twice, on some dates."""

    dates: tuple[date, ...]
    message: str


@dataclass(frozen=True, slots=True)
class _Meeting:
    """The local times of a schedule that lie in a gap or a fold, and their neighbours."""

    shift: ClockShift
    within: tuple[datetime, ...]
    before: datetime | None
    after: datetime | None
    spacing: timedelta | None

    def longest_wait(self, trigger: CronTrigger) -> timedelta | None:
        """Return for how long nothing fires at most, for a schedule that is frequent; else None."""
        if self.before is None or self.after is None or self.spacing is None:
            return None
        length = self.shift.length
        if self.shift.is_gap:
            skips = trigger.on_gap is OnGap.SKIP
            return self.after - self.before - length if skips else self.spacing
        waits = {
            OnFold.FIRST: self.after - self.within[-1] + length,
            OnFold.SECOND: self.within[0] - self.before + length,
            OnFold.BOTH: self.within[0] - self.within[-1] + length,
        }
        return waits[trigger.on_fold]

    def is_worth_a_word(self, trigger: CronTrigger) -> bool:
        """Tell whether somebody could miss something."""
        wait = self.longest_wait(trigger)
        return wait is None or self.spacing is None or wait > self.spacing


def warnings_of(
    trigger: Trigger, now: datetime, until: datetime | None = None
) -> list[DaylightWarning]:
    """Return what setting the clocks means for a trigger from `now` on, by default 3 years."""
    if not isinstance(trigger, CronTrigger):
        return []
    alike: dict[tuple[str, str], list[date]] = {}
    for meeting in _meetings(trigger, now, until or now + _FORESIGHT):
        said = _fact(meeting), _outcome(meeting, trigger)
        alike.setdefault(said, []).append(meeting.within[0].date())
    return [
        DaylightWarning(
            tuple(dates), f"{fact} in {trigger.timezone} on {_enumerated(dates)}; {outcome}"
        )
        for (fact, outcome), dates in alike.items()
    ]


def _meetings(trigger: CronTrigger, since: datetime, until: datetime) -> Iterator[_Meeting]:
    if trigger.start_at is not None:
        since = max(since, trigger.start_at)
    if trigger.end_at is not None:
        until = min(until, trigger.end_at)
    times = LocalTimes.of(trigger)
    for shift in clock_shifts(zone(trigger.timezone), since, until):
        meeting = _meeting(times, shift)
        if meeting is not None and meeting.is_worth_a_word(trigger):
            yield meeting


@lru_cache(maxsize=1024)
def _meeting(times: LocalTimes, shift: ClockShift) -> _Meeting | None:
    first = times.next_after(shift.start - SECOND)
    if first is None or first >= shift.end:
        return None
    run = list(_run(times, first - _FREQUENT, shift.end))
    before = max((at for at in run if at < shift.start), default=None)
    after = run[-1] if run[-1] >= shift.end else None
    spacing = max((later - at for at, later in pairwise(run)), default=_YEAR)
    return _Meeting(
        shift=shift,
        within=tuple(at for at in run if shift.start <= at < shift.end),
        before=before,
        after=after,
        spacing=spacing if spacing <= _FREQUENT else None,
    )


def _run(times: LocalTimes, begin: datetime, end: datetime) -> Iterator[datetime]:
    """Yield the first local time of each minute from `begin` to the first not before `end`."""
    local = times.next_after(begin - SECOND)
    while local is not None:
        yield local
        local = times.next_after(local.replace(second=59)) if local < end else None


def _fact(meeting: _Meeting) -> str:
    first, last = _clock(meeting.within[0]), _clock(meeting.within[-1])
    many = len(meeting.within) > 1
    joint = " and " if len(meeting.within) == _TWICE else " to "
    if meeting.shift.is_gap:
        fact = "do not exist" if many else "does not exist"
    else:
        fact = "come twice" if many else "comes twice"
    return f"{first}{joint}{last} {fact}" if many else f"{first} {fact}"


def _outcome(meeting: _Meeting, trigger: CronTrigger) -> str:
    many = len(meeting.within) > 1
    if not meeting.shift.is_gap:
        fires = f"{'they fire' if many else 'it fires'} {_TIMES[trigger.on_fold]}"
        choice = f"onFold: {trigger.on_fold.value}"
    elif trigger.on_gap is OnGap.SKIP:
        fires = f"{'they do' if many else 'it does'} not fire then"
        choice = f"onGap: {trigger.on_gap.value}"
    else:
        jointly = "together with" if meeting.after == meeting.shift.end else "at"
        fires = f"{'they fire once,' if many else 'it fires'} {jointly} "
        fires += f"{_clock(meeting.shift.end)} then"
        choice = f"onGap: {trigger.on_gap.value}"
    wait = meeting.longest_wait(trigger)
    pause = f", and nothing fires for {format_duration(wait)}" if wait else ""
    return f"{fires}{pause} ({choice})"


def _clock(local: datetime) -> str:
    return f"{local:%H:%M}"


def _enumerated(dates: list[date]) -> str:
    *others, last = map(date.isoformat, dates)
    return f"{', '.join(others)} and {last}" if others else last
