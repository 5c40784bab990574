"""Warning of schedules that their executions cannot keep up with."""

from datetime import timedelta
from typing import Any

import pytest

from shared.domain.drift import drift_warnings, shortest_interval
from shared.domain.execution import Execution, Skip, SkipReason, Status
from shared.domain.workflow import Workflow, create
from tests.support.builders import CATALOGUE, NOW, SECOND, TENANT, running, workflow
from tests.unit.desk import Desk, log
from workflows_svc.use_cases.preview import PreviewSchedules
from workflows_svc.use_cases.queries import Queries

EVERY_TEN = {"type": "periodic", "interval": "10s"}


def lasting(*seconds: float) -> list[Execution]:
    return [
        running(
            str(number),
            status=Status.COMPLETED,
            scheduled_for=NOW,
            started_at=NOW,
            finished_at=NOW + timedelta(seconds=length),
        )
        for number, length in enumerate(seconds)
    ]


def overlaps(count: int) -> list[Execution]:
    skip = Skip(SkipReason.OVERLAP, NOW, NOW, 1)
    return [each.evolve(skip=skip, started_at=None) for each in lasting(*[0] * count)]


def said(recent: list[Execution], of: Workflow | None = None) -> list[str]:
    return [w.message for w in drift_warnings(of or workflow(interval="10s"), recent, NOW)]


def test_executions_that_outlast_the_interval_are_warned_of() -> None:
    (message,) = said(lasting(*[12] * 20))
    assert message == (
        "is too frequent: of the last 20 executions, 95 % took up to 12s, but there are only 10s "
        "between two instants"
    )


@pytest.mark.parametrize(
    "recent",
    [lasting(), lasting(*[12] * 4), lasting(*[10] * 20), lasting(*[1] * 19, 99), overlaps(4)],
    ids=["none", "few", "exactly", "one in twenty", "few overlaps"],
)
def test_what_keeps_up_or_is_too_little_to_tell_is_not(recent: list[Execution]) -> None:
    assert said(recent) == []


def test_two_slow_ones_in_twenty_are_enough() -> None:
    assert "took up to 1m" in said(lasting(*[1] * 18, 60, 60))[0]


def test_what_somebody_triggered_does_not_count() -> None:
    assert said([each.evolve(scheduled_for=None) for each in lasting(*[12] * 20)]) == []


def test_where_one_execution_goes_on_and_on_the_skipped_ones_tell() -> None:
    assert said([*overlaps(6), *lasting(1)]) == [
        "is too frequent: 6 of the last 7 occurrences met an execution that was not done"
    ]
    assert said([*overlaps(4), *lasting(*[1] * 4)]) == []


@pytest.mark.parametrize(
    ("trigger", "interval"),
    [
        (EVERY_TEN, 10 * SECOND),
        ({"type": "cron", "schedule": "0 8,9,17 * * *"}, timedelta(hours=1)),
        ({"type": "once", "at": "2027-01-01T00:00:00Z"}, None),
        ({"type": "manual"}, None),
    ],
)
def test_the_shortest_time_between_instants_counts(
    trigger: dict[str, Any], interval: timedelta | None
) -> None:
    document: Any = {"workflowId": "w", "trigger": trigger, "actions": [log("a")]}
    made = create(TENANT, CATALOGUE.parse(document), 1, NOW)
    assert shortest_interval(made, NOW) == interval


async def test_a_workflow_is_shown_with_the_warning() -> None:
    desk = Desk()
    await desk.create(log("a"), trigger=EVERY_TEN)
    await desk.executions.add([each.evolve(active_key=None) for each in lasting(*[30] * 6)])
    queries = Queries(desk.workflows, desk.executions)
    preview = PreviewSchedules(desk.define, desk.clock, queries)
    found = await desk.define.get(TENANT, "hello")
    (warning,) = preview.warnings(found, await queries.recent(found))
    assert (warning.pointer, "too frequent" in warning.message) == ("/trigger", True)
    assert preview.warnings(found) == []
