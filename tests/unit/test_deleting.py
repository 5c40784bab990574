"""Deleting a workflow drops nothing silently, and a new one of its name begins anew."""

import pytest

from shared.domain.due import due_workflows
from shared.domain.errors import NotFound
from shared.domain.execution import SkipReason
from shared.domain.occurrences import occurrence
from tests.support.builders import TENANT
from tests.unit.desk import log
from tests.unit.test_pausing import EVERY_TEN, Ledger, after


@pytest.fixture
async def desk() -> Ledger:
    made = Ledger()
    await made.create(log("a"), trigger=EVERY_TEN)
    return made


def found(desk: Ledger) -> list[tuple[str, object, object, int]]:
    return [(s.reason.value, s.first, s.last, s.count) for s in desk.skips()]


async def delete(desk: Ledger) -> None:
    await desk.define.delete(TENANT, "hello", None)


async def test_what_passed_in_a_pause_is_on_record_when_its_workflow_is_deleted(
    desk: Ledger,
) -> None:
    await desk.pause()
    await desk.pass_time(35)
    await delete(desk)
    assert found(desk) == [("paused", after(10), after(30), 3)]
    with pytest.raises(NotFound):
        await desk.define.get(TENANT, "hello")


@pytest.mark.parametrize(
    ("enabled", "reason"), [(True, SkipReason.SUPERSEDED), (False, SkipReason.DISABLED)]
)
async def test_what_nobody_had_fired_is_on_record_when_its_workflow_is_deleted(
    desk: Ledger, enabled: bool, reason: SkipReason
) -> None:
    if not enabled:
        await desk.switch(enabled=False)
    await desk.pass_time(25)
    await delete(desk)
    assert found(desk) == [(reason.value, after(10), after(20), 2)]


async def test_what_fired_just_before_is_not_recorded_again_by_a_deletion(desk: Ledger) -> None:
    (due,) = due_workflows(await desk.workflow())
    await desk.pass_time(25)
    await desk.executions.add([occurrence(due, after(10), after(10), desk.timing)])
    await delete(desk)
    assert found(desk) == [("superseded", after(20), after(20), 1)]


async def test_deleting_on_time_records_nothing(desk: Ledger) -> None:
    await desk.pass_time(9)
    await delete(desk)
    assert found(desk) == []


async def test_what_is_created_anew_knows_nothing_of_how_the_former_one_ended(
    desk: Ledger,
) -> None:
    assert (await desk.workflow()).resumed_at is None
    await delete(desk)
    await desk.pass_time(5)
    await desk.create(log("a"), trigger=EVERY_TEN, pauseOnFailure=1)
    again = await desk.workflow()
    assert (again.resumed_at, again.version) == (after(5), 2)
