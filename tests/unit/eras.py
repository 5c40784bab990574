"""The times of a trigger's timetables, and what was promised of it in each of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from shared.domain.execution import Execution, Skip, SkipReason
from shared.domain.schedule import MOST_TO_CATCH_UP, PUNCTUAL
from shared.domain.triggers import CatchUp, CronTrigger, ManualTrigger, OnceTrigger, Trigger
from tests.support.builders import NOW, SECOND

MINUTE = timedelta(minutes=1)
REACH = MINUTE
"""What is due so soon keeps its delay when another jitter comes."""


@dataclass(frozen=True)
class Policy:
    """What a version of the definition said of a trigger, and since when."""

    trigger: Trigger
    version: int
    since: datetime
    delay: timedelta


@dataclass
class Era:
    """The time of one timetable, from when it was defined until it was replaced, or now.

    What else is said of its trigger may change meanwhile. What was due just then may have
    been `given_up`, a while before its instant.
    """

    policies: list[Policy]
    end: datetime | None = None
    given_up: list[Skip] = field(default_factory=list)

    @property
    def trigger(self) -> Trigger:
        return self.policies[-1].trigger

    @property
    def begin(self) -> datetime:
        return self.policies[0].since

    def ideal(self, until: datetime) -> list[datetime]:
        """Return its instants, worked out by adding up."""
        end, trigger = self.end or until, self.trigger
        if isinstance(trigger, ManualTrigger):
            return []
        if isinstance(trigger, OnceTrigger):
            return [trigger.at] if self.begin < trigger.at <= end else []
        if isinstance(trigger, CronTrigger):
            # The longest jitter delays what its author meant to be before all this.
            step, at = MINUTE, NOW - 9 * MINUTE
        else:
            step, at = trigger.interval, self.begin + trigger.interval
        authors = [at + n * step for n in range((end + REACH - at) // step + 1)]
        return [place for at in authors if (place := self.place(at, end)) is not None]

    def place(self, author: datetime, end: datetime) -> datetime | None:
        """Return when an instant is due that the author means, if it is of this era."""
        first, *others = self.policies
        place = author + first.delay
        if place <= self.begin:
            return None
        for policy in others:
            if place > policy.since + REACH:
                place = author + policy.delay
        return place if place <= end or self._gave_up(place) else None

    def _gave_up(self, place: datetime) -> bool:
        """Tell whether a record of what was given up stands for an instant; it has one delay."""
        step = getattr(self.trigger, "interval", MINUTE)
        return any(
            skip.first <= place <= skip.last and (place - skip.first) % step == timedelta()
            for skip in self.given_up
        )

    def may_have(self, record: Execution, following: "Sequence[Era]") -> bool:
        """Tell whether a record can be of this era: of its trigger, and not of a later version."""
        versions = [era.policies[0].version for era in following]
        is_later = bool(versions) and record.version >= versions[0]
        return record.trigger_id == self.trigger.type and not is_later

    def note(self, records: Sequence[Execution], now: datetime) -> None:
        """Note what was given up when another policy came: what had not come itself."""
        versions = [policy.version for policy in self.policies]
        self.given_up = [
            e.skip
            for e in records
            if e.skip and e.skip.last > e.created_at and e.version in versions
            if self.begin <= e.created_at <= (self.end or now)
        ]

    @property
    def spread(self) -> timedelta:
        """How much one instant may be nearer to the next than the timetable says."""
        delays = [policy.delay for policy in self.policies]
        return max(delays) - min(delays)

    def promised(self, record: Execution) -> Trigger:
        """Return what was said of the trigger when something was recorded."""
        said = [p.trigger for p in self.policies if p.version <= record.version]
        return said[-1] if said else self.policies[0].trigger


def timetable_in(trigger: Trigger) -> dict[str, Any]:
    """Return what of a trigger decides when it fires, and how often."""
    return trigger.model_dump(exclude={"catch_up", "catch_up_window", "jitter"})


def span_of(record: Execution, ideal: Sequence[datetime]) -> Sequence[datetime]:
    """Return the instants that a record stands for."""
    last = record.skip.last if record.skip else at_of(record)
    return ideal[ideal.index(at_of(record)) : ideal.index(last) + 1]


def at_of(record: Execution) -> datetime:
    assert record.scheduled_for is not None
    return record.scheduled_for


def check_promises(era: Era, records: Sequence[Execution]) -> None:
    """Check the fires and skips of an era by what was said when they were recorded."""
    for policy in era.policies:
        own = [e for e in records if era.promised(e) is policy.trigger]
        check_promise(policy.trigger, own, era.spread)
    if records and records[-1].skip and era.promised(records[-1]) is era.trigger:
        check_latest(era.trigger, records[-1].skip.reason)


def _limits(trigger: Trigger) -> list[timedelta]:
    window = getattr(trigger, "catch_up_window", None)
    none = getattr(trigger, "catch_up", None) is CatchUp.NONE
    return ([window] if window else []) + ([PUNCTUAL] if none else [])


def check_latest(trigger: Trigger, reason: SkipReason) -> None:
    """Check that of what passed, the latest is never merely missed."""
    assert _limits(trigger) or reason is not SkipReason.MISSED


def check_promise(trigger: Trigger, records: Sequence[Execution], spread: timedelta) -> None:
    """Check what its policy says of a trigger's fires and skips."""
    catch_up = getattr(trigger, "catch_up", CatchUp.LATEST)
    limits = _limits(trigger)
    late = [e.created_at - at_of(e) for e in records if not e.skip]
    assert all(each <= min(limits) for each in late if limits)
    reasons = [e.skip.reason for e in records if e.skip]
    if catch_up is CatchUp.ALL:
        assert SkipReason.MISSED not in reasons
        met = [e for e in records if e.skip and e.skip.reason is SkipReason.OVERLAP]
        step = getattr(trigger, "interval", MINUTE)
        assert all(e.created_at - at_of(e) <= step + spread for e in met)
    if not limits and catch_up is CatchUp.LATEST:
        assert SkipReason.WINDOW not in reasons
    if catch_up is CatchUp.ALL and not limits:
        gone = [e for e in records if e.skip and e.skip.reason is SkipReason.WINDOW]
        long = MOST_TO_CATCH_UP * 10 * SECOND - spread
        assert all(e.created_at - at_of(e) >= long for e in gone)
