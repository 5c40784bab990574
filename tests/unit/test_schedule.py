"""Which instants fire, and which are missed."""

from datetime import datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.domain.grid import Grid
from shared.domain.schedule import AllRecorded, DuePlan, Missed, plan_due, resume_plan, unrecorded
from shared.domain.timetable import Timetable, timetable_of
from shared.domain.triggers import CronTrigger, OnceTrigger
from tests.support.builders import NOW, SECOND

MS = timedelta(milliseconds=1)
EVERY = Grid(NOW, 10 * SECOND, None)
INTERVALS = st.integers(1, 10_000).map(lambda n: n * SECOND)
STEPS = st.lists(st.integers(0, 200_000).map(lambda n: n * MS), min_size=1, max_size=15)


def _at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def _every(interval: timedelta) -> Timetable:
    return Grid(NOW, interval, None)


def _missed(first: float, last: float, count: int) -> Missed:
    return Missed(_at(first), _at(last), count)


def _instants(missed: Missed | None, interval: timedelta) -> list[datetime]:
    if missed is None:
        return []
    instants = [missed.first + k * interval for k in range(missed.count)]
    assert missed.count >= 1
    assert instants[-1] == missed.last
    return instants


@pytest.mark.parametrize(
    ("now", "plan"),
    [
        (9.999, None),
        (10, DuePlan(_at(10), None, _at(20))),
        (10.001, DuePlan(_at(10), None, _at(20))),
        (19.999, DuePlan(_at(10), None, _at(20))),
        (20, DuePlan(_at(20), _missed(10, 10, 1), _at(30))),
        (35, DuePlan(_at(30), _missed(10, 20, 2), _at(40))),
        (3610, DuePlan(_at(3610), _missed(10, 3600, 360), _at(3620))),
    ],
)
def test_the_latest_instant_fires_and_the_others_are_missed(
    now: float, plan: DuePlan | None
) -> None:
    assert plan_due(EVERY, _at(10), _at(now)) == plan


@pytest.mark.parametrize(
    ("recorded_until", "rest"),
    [
        (0, DuePlan(_at(50), _missed(10, 40, 4), _at(60))),
        (10, DuePlan(_at(50), _missed(20, 40, 3), _at(60))),
        (30, DuePlan(_at(50), _missed(40, 40, 1), _at(60))),
        (40, DuePlan(_at(50), None, _at(60))),
        (50, AllRecorded(_at(60))),
        (60, AllRecorded(_at(70))),
    ],
)
def test_what_is_recorded_is_taken_out_of_a_plan(
    recorded_until: float, rest: DuePlan | AllRecorded
) -> None:
    plan = DuePlan(_at(50), _missed(10, 40, 4), _at(60))
    assert unrecorded(plan, EVERY, _at(recorded_until)) == rest


@pytest.mark.parametrize(
    ("now", "resumed"),
    [
        (9.999, None),
        (10, (_missed(10, 10, 1), _at(20))),
        (19.999, (_missed(10, 10, 1), _at(20))),
        (20, (_missed(10, 20, 2), _at(30))),
        (3600, (_missed(10, 3600, 360), _at(3610))),
    ],
)
def test_a_trigger_that_was_off_fires_none_of_what_it_missed(
    now: float, resumed: tuple[Missed, datetime] | None
) -> None:
    assert resume_plan(EVERY, _at(10), _at(now)) == resumed


@given(INTERVALS, STEPS)
def test_every_instant_is_fired_or_missed_once_and_on_the_grid(
    interval: timedelta, steps: list[timedelta]
) -> None:
    start = NOW + interval
    next_run_at, now = start, NOW
    served: list[datetime] = []
    for step in steps:
        now += step
        plan = plan_due(_every(interval), next_run_at, now)
        if plan is None:
            assert next_run_at > now
            continue
        served += [*_instants(plan.missed, interval), plan.fire_at]
        assert plan.next_run_at is not None
        assert plan.fire_at <= now < plan.next_run_at
        next_run_at = plan.next_run_at
    count = max((now - NOW) // interval, 0)
    assert served == [start + k * interval for k in range(count)]
    assert next_run_at == start + count * interval


@given(INTERVALS, st.integers(0, 10**9))
def test_a_plan_is_the_same_at_any_moment_until_its_next_instant(
    interval: timedelta, late: int
) -> None:
    plan = plan_due(_every(interval), NOW, NOW + late * MS)
    assert plan is not None
    assert plan.next_run_at is not None
    assert plan_due(_every(interval), NOW, plan.fire_at) == plan
    assert plan_due(_every(interval), NOW, plan.next_run_at - MS) == plan


@given(INTERVALS, st.integers(0, 300), st.integers(-1, 310))
def test_what_is_left_of_a_plan_begins_after_what_is_recorded(
    interval: timedelta, behind: int, recorded: int
) -> None:
    plan = plan_due(_every(interval), NOW, NOW + behind * interval)
    assert plan is not None
    until = NOW + recorded * interval
    rest = unrecorded(plan, _every(interval), until)
    if isinstance(rest, AllRecorded):
        assert plan.fire_at <= until
        assert rest.next_run_at == until + interval
        return
    left = [*_instants(rest.missed, interval), rest.fire_at]
    assert left == [NOW + k * interval for k in range(recorded + 1, behind + 1)]
    assert rest.next_run_at == plan.next_run_at


@given(INTERVALS, st.integers(0, 100), st.integers(0, 100))
def test_two_who_plan_at_different_moments_serve_every_instant_once(
    interval: timedelta, earlier: int, later: int
) -> None:
    assume(earlier <= later)
    first = plan_due(_every(interval), NOW, NOW + earlier * interval)
    second = plan_due(_every(interval), NOW, NOW + later * interval)
    assert first is not None
    assert second is not None
    served = [*_instants(first.missed, interval), first.fire_at]
    rest = unrecorded(second, _every(interval), first.fire_at)
    if isinstance(rest, DuePlan):
        served += [*_instants(rest.missed, interval), rest.fire_at]
    assert served == [NOW + k * interval for k in range(later + 1)]


@given(INTERVALS, st.integers(0, 10**9))
def test_resuming_misses_everything_up_to_now_and_keeps_the_grid(
    interval: timedelta, late: int
) -> None:
    now = NOW + late * MS
    resumed = resume_plan(_every(interval), NOW, now)
    assert resumed is not None
    missed, next_run_at = resumed
    assert next_run_at is not None
    assert missed.first == NOW
    assert missed.last <= now < next_run_at
    assert (missed.last - NOW, next_run_at - missed.last) == (
        (missed.count - 1) * interval,
        interval,
    )


ROME = CronTrigger(
    type="cron",
    schedule=["30 2 * * *", "0 */6 * * 1-5"],
    timezone="Europe/Rome",
    endAt="2026-04-20T00:00:00Z",
)
"""Over the night of 29 March 2026, in which 02:30 does not exist in Rome."""


@given(st.lists(st.integers(1, 5 * 86_400), min_size=1, max_size=40))
def test_every_instant_of_a_calendar_is_fired_or_missed_once_up_to_its_end(
    steps: list[int],
) -> None:
    timetable = timetable_of(ROME, NOW)
    assert timetable is not None
    now = _at(80 * 86_400)
    next_run_at = timetable.next_after(now)
    expected, served = [], []
    at = next_run_at
    while at is not None:
        expected.append(at)
        at = timetable.next_after(at)
    for step in steps:
        now += step * SECOND
        plan = plan_due(timetable, next_run_at, now) if next_run_at else None
        if plan is None:
            continue
        missed = plan.missed
        behind = [at for at in expected if missed and missed.first <= at <= missed.last]
        assert len(behind) == (missed.count if missed else 0)
        served += [*behind, plan.fire_at]
        next_run_at = plan.next_run_at
    assert served == [at for at in expected if at <= now]
    assert next_run_at == min((at for at in expected if at > now), default=None)


def test_after_the_one_instant_of_a_trigger_there_is_none() -> None:
    timetable = timetable_of(OnceTrigger(type="once", at="2026-01-01T00:01:00Z"), NOW)
    assert timetable is not None
    assert plan_due(timetable, _at(60), _at(59)) is None
    assert plan_due(timetable, _at(60), _at(3600)) == DuePlan(_at(60), None, None)
    assert resume_plan(timetable, _at(60), _at(3600)) == (_missed(60, 60, 1), None)
    assert unrecorded(DuePlan(_at(60), None, None), timetable, _at(60)) == AllRecorded(None)
