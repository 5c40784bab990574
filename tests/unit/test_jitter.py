"""Spreading the load: every instant of a trigger is later by the same while."""

from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from shared.domain.due import due_workflows, instants_after
from shared.domain.instants import LAST
from shared.domain.jitter import Delayed, delay_of
from shared.domain.timetable import Timetable, timetable_of
from shared.domain.triggers import Trigger
from tests.support.builders import NOW, SECOND, TENANT, workflow

TRIGGERS: TypeAdapter[Trigger] = TypeAdapter(Trigger)
MS = timedelta(milliseconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
JITTERS = st.integers(1, 86_400_000)
PERIODIC: dict[str, Any] = {"type": "periodic", "interval": "1h", "jitter": "10m"}
HOURLY: dict[str, Any] = {"type": "cron", "schedule": "@hourly", "jitter": "10m"}
KINDS = {
    "plain": PERIODIC,
    "phase": {**PERIODIC, "phase": "5m"},
    "start": {**PERIODIC, "startAt": "2026-01-01T02:00:00Z"},
    "cron": {**HOURLY, "timezone": "Europe/Berlin"},
}


def _trigger(**trigger: Any) -> Trigger:
    return TRIGGERS.validate_python(trigger)


def _delay(workflow_id: str = "hello", **trigger: Any) -> timedelta:
    return delay_of(_trigger(**trigger), TENANT, workflow_id, "cron")


def _plain(trigger: dict[str, Any]) -> Timetable:
    timetable = timetable_of(_trigger(**trigger), NOW)
    assert timetable is not None
    return timetable


@given(JITTERS, st.text(min_size=1, max_size=20))
def test_a_delay_is_whole_milliseconds_shorter_than_the_jitter(jitter: int, name: str) -> None:
    delay = _delay(name, **{**HOURLY, "jitter": f"{jitter}ms"})
    assert timedelta() <= delay < jitter * MS
    assert delay % MS == timedelta()


def test_a_delay_is_the_same_for_ever() -> None:
    """Or else a release would move instants, and with them the ids of occurrences."""
    assert [_delay(name, **HOURLY) // MS for name in ("hello", "world")] == [140_467, 499_326]


def test_the_delay_of_a_trigger_depends_on_each_of_its_names() -> None:
    hourly = _trigger(**HOURLY)
    names = [("a", "b", "c"), ("x", "b", "c"), ("a", "x", "c"), ("a", "b", "x"), ("a", "b:c", "")]
    assert len({delay_of(hourly, *name) for name in names}) == len(names)


def test_delays_are_spread_over_the_whole_jitter() -> None:
    tenths = [_delay(f"w{n}", **HOURLY) // MINUTE for n in range(1000)]
    counts = [tenths.count(tenth) for tenth in range(10)]
    assert sum(counts) == 1000
    assert min(counts) > 60


@pytest.mark.parametrize(
    "trigger", [{**HOURLY, "jitter": None}, {"type": "once", "at": NOW}, {"type": "manual"}]
)
def test_without_a_jitter_there_is_no_delay(trigger: dict[str, Any]) -> None:
    assert _delay(**trigger) == timedelta()


@pytest.mark.parametrize("kind", KINDS)
def test_every_instant_to_come_is_later_by_the_delay(kind: str) -> None:
    trigger = KINDS[kind]
    delayed = workflow("world", trigger=trigger)
    (due,) = due_workflows(delayed)
    delay = delay_of(due.trigger, TENANT, "world", due.trigger_id)
    assert delay > timedelta()
    at = _plain(trigger).next_after(NOW - delay)
    expected: list[datetime] = []
    while at is not None and len(expected) < 5:
        expected.append(at + delay)
        at = _plain(trigger).next_after(at)
    found = [at for at, _ in islice(instants_after(delayed, NOW, NOW), 5)]
    assert found == expected
    assert delayed.next_run_at == expected[0]


@given(
    st.sampled_from(sorted(KINDS)),
    st.integers(0, 86_400_000).map(lambda n: n * MS),
    st.integers(0, 600_000).map(lambda n: n * MS),
    st.integers(-10_000, 90_000).map(lambda n: n * SECOND),
)
def test_a_delayed_timetable_agrees_with_itself(
    kind: str, length: timedelta, by: timedelta, offset: timedelta
) -> None:
    timetable = Delayed(_plain(KINDS[kind]), by)
    since, until = NOW + offset, NOW + offset + length
    listed, at = [], timetable.next_after(since)
    while at is not None and at <= until:
        listed.append(at)
        at = timetable.next_after(at)
    assert timetable.count(since, until) == len(listed)
    assert timetable.latest_until(until, since) == (listed[-1] if listed else None)
    assert all(_plain(KINDS[kind]).next_after(at - by - MS) == at - by for at in listed)


def test_the_end_of_a_trigger_limits_the_instants_that_are_delayed() -> None:
    daily = {"type": "cron", "schedule": "@daily", "endAt": "2026-01-02T00:00:00Z"}
    timetable = Delayed(_plain(daily), MINUTE)
    assert timetable.next_after(NOW) == NOW + MINUTE
    assert timetable.next_after(NOW + MINUTE) == NOW + DAY + MINUTE
    assert timetable.next_after(NOW + DAY + MINUTE) is None


def test_no_instant_is_delayed_beyond_the_last_year() -> None:
    last = _plain({"type": "once", "at": LAST})
    assert Delayed(last, timedelta()).next_after(NOW) == LAST
    late = Delayed(last, MS)
    assert late.next_after(NOW) is None
    assert late.latest_until(LAST, NOW) is None
    assert late.count(NOW, LAST + DAY) == 0
