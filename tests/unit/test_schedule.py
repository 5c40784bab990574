"""Which instants fire, and which lapse."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.execution import SkipReason
from shared.domain.grid import Grid
from shared.domain.schedule import (
    MOST_TO_CATCH_UP,
    PUNCTUAL,
    Catching,
    Fire,
    Lapse,
    Missed,
    is_behind,
    missed_after,
    next_step,
    resume_plan,
)
from shared.domain.timetable import Timetable, timetable_of
from shared.domain.triggers import CatchUp, CronTrigger, ManualTrigger, OnceTrigger, PeriodicTrigger
from tests.support.builders import NOW, SECOND

Step = Fire | Lapse
MS = timedelta(milliseconds=1)
EVERY = Grid(NOW, 10 * SECOND, None)
LATEST, ALL = Catching(), Catching(every=True)
NONE = Catching(window=PUNCTUAL)
MISSED, WINDOW = SkipReason.MISSED, SkipReason.WINDOW
INTERVALS = st.integers(1, 10_000).map(lambda n: n * SECOND)
STEPS = st.lists(st.integers(0, 200_000).map(lambda n: n * MS), min_size=1, max_size=15)
WINDOWS = st.none() | st.integers(1, 10**6).map(lambda n: n * MS)
CATCHING = st.builds(Catching, every=st.booleans(), window=WINDOWS)


def _at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def _every(interval: timedelta) -> Timetable:
    return Grid(NOW, interval, None)


def _missed(first: float, last: float, count: int) -> Missed:
    return Missed(_at(first), _at(last), count)


def _lapse(reason: SkipReason, first: float, last: float, count: int) -> Lapse:
    return Lapse(_missed(first, last, count), reason)


def _fires(*seconds: float) -> list[Step]:
    return [Fire(_at(second)) for second in seconds]


def _within(seconds: float, *, every: bool = False) -> Catching:
    return Catching(every, timedelta(seconds=seconds))


def _last(step: Step) -> datetime:
    return step.at if isinstance(step, Fire) else step.missed.last


def _walk(
    timetable: Timetable, at: datetime | None, now: datetime, catching: Catching = LATEST
) -> tuple[list[Step], datetime | None]:
    """Take all the steps there are; return them, and the instant that comes after."""
    steps: list[Step] = []
    while at is not None and (step := next_step(timetable, at, now, catching)):
        steps.append(step)
        at = timetable.next_after(_last(step))
    return steps, at


def _instants(step: Step, interval: timedelta) -> list[datetime]:
    if isinstance(step, Fire):
        return [step.at]
    missed = step.missed
    instants = [missed.first + k * interval for k in range(missed.count)]
    assert missed.count >= 1
    assert instants[-1] == missed.last
    return instants


CASES: dict[str, tuple[Catching, float, list[Step]]] = {
    "before it is due": (LATEST, 9.999, []),
    "on time": (LATEST, 10, _fires(10)),
    "just before the next": (LATEST, 19.999, _fires(10)),
    "one missed": (LATEST, 20, [_lapse(MISSED, 10, 10, 1), *_fires(20)]),
    "two missed": (LATEST, 35, [_lapse(MISSED, 10, 20, 2), *_fires(30)]),
    "many missed": (LATEST, 3610, [_lapse(MISSED, 10, 3600, 360), *_fires(3610)]),
    "as late as the window": (_within(4), 14, _fires(10)),
    "later than the window": (_within(4), 14.001, [_lapse(WINDOW, 10, 10, 1)]),
    "the latest within the window": (_within(4), 34, [_lapse(WINDOW, 10, 20, 2), *_fires(30)]),
    "some within the window": (
        _within(15),
        42,
        [_lapse(WINDOW, 10, 20, 2), _lapse(MISSED, 30, 30, 1), *_fires(40)],
    ),
    "all on time": (ALL, 10, _fires(10)),
    "all before it is due": (ALL, 9.999, []),
    "all of three": (ALL, 35, _fires(10, 20, 30)),
    "all within the window": (
        _within(15, every=True),
        45,
        [_lapse(WINDOW, 10, 20, 2), *_fires(30, 40)],
    ),
    "a hundred": (ALL, 1000, _fires(*range(10, 1001, 10))),
    "a hundred and one": (ALL, 1010, [_lapse(WINDOW, 10, 10, 1), *_fires(*range(20, 1011, 10))]),
    "a thousand": (ALL, 10_000, [_lapse(WINDOW, 10, 9000, 900), *_fires(*range(9010, 10_001, 10))]),
    "none within a minute": (NONE, 19.999, _fires(10)),
    "none but the latest": (NONE, 70, [_lapse(MISSED, 10, 60, 6), *_fires(70)]),
    "none of what is later": (
        NONE,
        95,
        [_lapse(WINDOW, 10, 30, 3), _lapse(MISSED, 40, 80, 5), *_fires(90)],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_instants_that_have_passed_fire_or_lapse(case: str) -> None:
    catching, seconds, expected = CASES[case]
    steps, following = _walk(EVERY, _at(10), _at(seconds), catching)
    assert steps == expected
    assert following == _at(max(seconds // 10 * 10 + 10, 10))


def test_hours_late_none_fires() -> None:
    hourly = Grid(NOW, timedelta(hours=1), None)
    assert _walk(hourly, NOW, _at(60), NONE) == ([Fire(NOW)], _at(3600))
    assert _walk(hourly, NOW, _at(60.001), NONE) == ([_lapse(WINDOW, 0, 0, 1)], _at(3600))


PERIODIC = PeriodicTrigger(type="periodic", interval="10s")


@pytest.mark.parametrize(
    ("catch_up", "window", "catching"),
    [
        (CatchUp.LATEST, None, LATEST),
        (CatchUp.LATEST, 90 * SECOND, _within(90)),
        (CatchUp.ALL, None, ALL),
        (CatchUp.ALL, 90 * SECOND, _within(90, every=True)),
        (CatchUp.NONE, None, NONE),
        (CatchUp.NONE, 90 * SECOND, NONE),
        (CatchUp.NONE, 5 * SECOND, _within(5)),
    ],
)
def test_a_trigger_says_how_it_catches_up(
    catch_up: CatchUp, window: timedelta | None, catching: Catching
) -> None:
    said = {"catch_up": catch_up, "catch_up_window": window}
    assert Catching.of(PERIODIC.model_copy(update=said)) == catching


def test_other_triggers_fire_however_late() -> None:
    assert Catching.of(OnceTrigger(type="once", at="2026-01-01T00:01:00Z")) == LATEST
    assert Catching.of(ManualTrigger(type="manual")) == LATEST


@pytest.mark.parametrize(
    ("interval", "seconds", "behind"),
    [(10, 9.999, False), (10, 10, True), (3600, 60, False), (3600, 60.001, True)],
)
def test_an_instant_is_behind_when_the_next_has_come_or_a_minute_has_passed(
    interval: float, seconds: float, behind: bool
) -> None:
    timetable = Grid(NOW, interval * SECOND, None)
    assert is_behind(timetable, NOW, _at(seconds)) is behind
    last = Grid(NOW, interval * SECOND, NOW)
    assert is_behind(last, NOW, _at(seconds)) is (seconds > 60)


@pytest.mark.parametrize(
    ("now", "resumed"),
    [
        (9.999, ([], _at(10))),
        (10, ([_missed(10, 10, 1)], _at(20))),
        (19.999, ([_missed(10, 10, 1)], _at(20))),
        (20, ([_missed(10, 20, 2)], _at(30))),
        (3600, ([_missed(10, 3600, 360)], _at(3610))),
    ],
)
def test_a_trigger_that_was_off_fires_none_of_what_it_missed(
    now: float, resumed: tuple[list[Missed], datetime]
) -> None:
    assert resume_plan(EVERY, _at(10), _at(now)) == resumed


@given(INTERVALS, STEPS, CATCHING)
def test_every_instant_fires_or_lapses_once_and_on_the_grid(
    interval: timedelta, lengths: list[timedelta], catching: Catching
) -> None:
    start = NOW + interval
    next_run_at: datetime | None = start
    now, served = NOW, []
    for length in lengths:
        now += length
        steps, next_run_at = _walk(_every(interval), next_run_at, now, catching)
        served += [at for step in steps for at in _instants(step, interval)]
        fired = [step.at for step in steps if isinstance(step, Fire)]
        assert all(now - at <= (catching.window or now - NOW) for at in fired)
        assert len(fired) <= (MOST_TO_CATCH_UP if catching.every else 1)
    count = max((now - NOW) // interval, 0)
    assert served == [start + k * interval for k in range(count)]
    assert next_run_at == start + count * interval


@given(INTERVALS, st.integers(0, 300), CATCHING)
def test_what_is_not_too_late_fires_if_everything_is_to_be_caught_up_with(
    interval: timedelta, behind: int, catching: Catching
) -> None:
    now = NOW + behind * interval
    steps, _ = _walk(_every(interval), NOW, now, catching)
    fired = [step.at for step in steps if isinstance(step, Fire)]
    window = now - NOW if catching.window is None else catching.window
    wanted = [at for k in range(behind + 1) if now - (at := NOW + k * interval) <= window]
    assert fired == wanted[-MOST_TO_CATCH_UP if catching.every else -1 :]


@given(INTERVALS, CATCHING, st.integers(0, 150), st.integers(0, 150), st.integers(0, 150))
def test_two_who_plan_at_different_moments_serve_every_instant_once(
    interval: timedelta, catching: Catching, earlier: int, later: int, taken: int
) -> None:
    """The second goes on behind what the first, who may have crashed, has on record."""
    timetable = _every(interval)
    first, _ = _walk(timetable, NOW, NOW + earlier * interval, catching)
    done = first[: max(taken, 1)]
    rest, _ = _walk(
        timetable, timetable.next_after(_last(done[-1])), NOW + later * interval, catching
    )
    served = [at for step in [*done, *rest] for at in _instants(step, interval)]
    assert served == [NOW + k * interval for k in range(len(served))]
    assert len(served) > later or len(served) == sum(len(_instants(s, interval)) for s in done)


@given(INTERVALS, st.integers(0, 300), st.integers(-1, 310))
def test_what_is_left_to_record_begins_after_what_is_recorded(
    interval: timedelta, behind: int, recorded: int
) -> None:
    until = NOW + behind * interval
    missed = missed_after(_every(interval), NOW + recorded * interval, until)
    left = _instants(Lapse(missed, MISSED), interval) if missed else []
    assert left == [NOW + k * interval for k in range(recorded + 1, behind + 1)]


@given(INTERVALS, st.integers(0, 10**9))
def test_resuming_misses_everything_up_to_now_and_keeps_the_grid(
    interval: timedelta, late: int
) -> None:
    now = NOW + late * MS
    (missed,), next_run_at = resume_plan(_every(interval), NOW, now)
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


@given(st.lists(st.integers(1, 5 * 86_400), min_size=1, max_size=40), CATCHING)
def test_every_instant_of_a_calendar_fires_or_lapses_once_up_to_its_end(
    lengths: list[int], catching: Catching
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
    for length in lengths:
        now += length * SECOND
        steps, next_run_at = _walk(timetable, next_run_at, now, catching)
        for step in steps:
            first = step.at if isinstance(step, Fire) else step.missed.first
            covered = [at for at in expected if first <= at <= _last(step)]
            assert len(covered) == (1 if isinstance(step, Fire) else step.missed.count)
            served += covered
    assert served == [at for at in expected if at <= now]
    assert next_run_at == min((at for at in expected if at > now), default=None)


def test_after_the_one_instant_of_a_trigger_there_is_none() -> None:
    timetable = timetable_of(OnceTrigger(type="once", at="2026-01-01T00:01:00Z"), NOW)
    assert timetable is not None
    assert _walk(timetable, _at(60), _at(59)) == ([], _at(60))
    assert _walk(timetable, _at(60), _at(3600)) == ([Fire(_at(60))], None)
    assert resume_plan(timetable, _at(60), _at(3600)) == ([_missed(60, 60, 1)], None)


def test_an_instant_that_new_rules_moved_off_the_timetable_counts_as_one() -> None:
    assert _walk(EVERY, _at(7), _at(35), ALL)[0] == _fires(7, 10, 20, 30)
    assert _walk(EVERY, _at(7), _at(35))[0] == [_lapse(MISSED, 7, 20, 3), *_fires(30)]
