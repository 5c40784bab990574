"""Looking ahead at a workflow: how long its executions take, and what a later instant meets."""

from datetime import timedelta

import pytest

from shared.domain.execution import Execution, Status
from shared.domain.foresight import Expected, Occupied
from shared.domain.outlook import MOST_BEFORE, Assumed, Source, measured, occupied_by, outlook
from shared.domain.workflow import Workflow
from tests.support.builders import NOW, SECOND, queued, running, workflow

FREE = Occupied(NOW)
FIFTEEN = Assumed(Source.GIVEN, 15 * SECOND)
UNKNOWN = Assumed()


def lasted(*seconds: int, status: Status = Status.COMPLETED) -> list[Execution]:
    return [
        running(
            f"{status}-{number}",
            status=status,
            scheduled_for=NOW,
            started_at=NOW,
            finished_at=NOW + length * SECOND,
        )
        for number, length in enumerate(seconds)
    ]


@pytest.mark.parametrize(
    ("recent", "median", "number"),
    [
        (lasted(7), 7, 1),
        (lasted(9, 1, 2), 2, 3),
        (lasted(1, 2, 3, 99), 2, 4),
        ([*lasted(1, 2, 3), *lasted(60, status=Status.FAILED)], 2, 4),
        ([*lasted(30, 40, 50), *lasted(10, status=Status.CANCELLED)], 40, 4),
    ],
    ids=["one", "odd", "even", "a failure", "one cut short"],
)
def test_the_median_of_what_recent_executions_took_is_assumed(
    recent: list[Execution], median: int, number: int
) -> None:
    assert measured(recent) == Assumed(Source.MEASURED, median * SECOND, number)


@pytest.mark.parametrize(
    "recent",
    [
        [],
        [e.evolve(scheduled_for=None) for e in lasted(1, 2)],
        [e.evolve(started_at=None, status=Status.SKIPPED) for e in lasted(0, 0)],
        [running(scheduled_for=NOW)],
        lasted(10, 10, status=Status.CANCELLED),
        [*lasted(3), *lasted(10, 10, status=Status.CANCELLED)],
    ],
    ids=["none", "by hand", "skipped", "still running", "all cut short", "most cut short"],
)
def test_where_there_is_nothing_to_go_by_nothing_is_assumed(recent: list[Execution]) -> None:
    assert measured(recent) == UNKNOWN


@pytest.mark.parametrize(
    ("holder", "ends"),
    [
        (running(started_at=NOW - 4 * SECOND), 11),
        (running(started_at=NOW - 40 * SECOND), 0),
        (queued(), 15),
        (running(started_at=NOW - 4 * SECOND, next_attempt_at=NOW + 60 * SECOND), 60),
    ],
    ids=["running", "longer than usual", "not begun", "waiting for its next attempt"],
)
def test_what_holds_a_workflow_ends_when_its_time_has_passed(holder: Execution, ends: int) -> None:
    held = occupied_by(workflow(), [holder], 2, 15 * SECOND, NOW)
    assert held == Occupied(NOW, (NOW + ends * SECOND,), 2)


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING])
def test_what_is_queued_ahead_of_its_instant_is_not_in_its_own_way(status: Status) -> None:
    instant = NOW + 10 * SECOND
    of = workflow(triggers=[{"id": "t", "type": "cron", "schedule": "*/10 * * * * *"}])
    holder = queued(status=status, trigger_id="t", scheduled_for=instant)
    assert occupied_by(of, [holder], 0, 15 * SECOND, NOW) == FREE
    # A plain interval counts from its next instant, so this one is not listed any more.
    elsewhere = workflow(triggers=[{"id": "t", "type": "periodic", "interval": "20s"}])
    assert occupied_by(elsewhere, [holder], 0, 15 * SECOND, NOW).ends == (NOW + 25 * SECOND,)


def expected(of: Workflow, since: int, assumed: Assumed = FIFTEEN) -> list[tuple[float, Expected]]:
    found = outlook(of, NOW + since * SECOND, 3, assumed, FREE).instants
    return [((each.at - NOW).total_seconds(), each.expected) for each in found]


def test_what_a_later_instant_meets_depends_on_those_before() -> None:
    often = workflow(interval="10s")
    fires, skipped = Expected.FIRES, Expected.SKIPPED
    assert expected(often, 0) == [(10, fires), (20, skipped), (30, fires)]
    assert expected(often, 10) == [(20, skipped), (30, fires), (40, skipped)]
    assert expected(often, 15) == [(20, skipped), (30, fires), (40, skipped)]


def test_too_far_ahead_a_workflow_is_taken_to_be_free() -> None:
    often = workflow(interval="10s")
    far, further = MOST_BEFORE * 10 - 5, MOST_BEFORE * 10
    near = outlook(often, NOW + far * SECOND, 1, FIFTEEN, FREE)
    assert (near.reckoned_from, near.instants[0].expected) == (NOW, Expected.SKIPPED)
    afresh = outlook(often, NOW + further * SECOND, 1, FIFTEEN, FREE)
    assert afresh.reckoned_from == NOW + further * SECOND
    assert expected(often, further)[0] == (further + 10, Expected.FIRES)


def test_the_runs_of_a_trigger_last_for_so_many_that_are_not_skipped() -> None:
    trigger = {"id": "t", "type": "periodic", "interval": "10s", "maxRuns": 2}
    thrice = workflow(triggers=[trigger])
    fires, skipped = Expected.FIRES, Expected.SKIPPED
    assert expected(thrice, 0) == [(10, fires), (20, skipped), (30, fires)]
    assert expected(thrice, 0, UNKNOWN) == [(10, fires), (20, fires)]
    assert expected(thrice, 25) == [(30, fires)]
    assert expected(thrice, 25, UNKNOWN) == []


def test_of_runs_that_are_too_far_ahead_to_reckon_with_all_are_taken_to_fire() -> None:
    counted = {"id": "t", "type": "periodic", "interval": "10s", "maxRuns": MOST_BEFORE + 1}
    far = MOST_BEFORE * 10
    assert expected(workflow(triggers=[counted]), far) == [(far + 10, Expected.FIRES)]


def test_where_nothing_is_assumed_every_instant_is_said_to_fire() -> None:
    often = workflow(interval="10s")
    holder = Occupied(NOW, (NOW + timedelta(hours=1),))
    found = outlook(often, NOW, 100, UNKNOWN, holder)
    assert found.reckoned_from is None
    assert {each.expected for each in found.instants} == {Expected.FIRES}
