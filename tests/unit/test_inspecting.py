"""Looking into executions: as they were, and whether what is stored is what happened."""

import pytest

from shared.domain.errors import NotFound
from shared.domain.execution import ErrorCategory as Category
from shared.domain.execution import Failure, Status
from shared.domain.outcomes import Uncertain
from shared.ports.executions import ExecutionQuery
from tests.support.builders import NOW, SECOND, TENANT, queued
from tests.unit.desk import Desk, broken, log

ALL = ExecutionQuery(tenant=TENANT, limit=50)


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_the_state_at_an_event_is_what_was_stored_then(desk: Desk) -> None:
    await desk.create(log("a"), log("b"))
    execution_id = await desk.triggered({"n": 1})
    born = await desk.stored(execution_id)
    await desk.run(execution_id)
    now = await desk.stored(execution_id)
    at_birth = desk.inspect.state_at(now, 1)
    assert (at_birth.status, at_birth.input, at_birth.history) == (
        Status.QUEUED,
        {"n": 1},
        born.history,
    )
    in_between = desk.inspect.state_at(now, 3)
    assert (in_between.status, set(in_between.actions)) == (Status.RUNNING, {"a"})
    assert desk.inspect.state_at(now, now.seq).status is Status.COMPLETED
    with pytest.raises(NotFound, match=f"event '{now.seq + 1}'"):
        desk.inspect.state_at(now, now.seq + 1)


async def test_why_knows_the_plan(desk: Desk) -> None:
    await desk.create(log("a"))
    execution_id = await desk.triggered()
    await desk.claimed(execution_id)
    execution, reason = await desk.inspect.why(TENANT, execution_id)
    assert (execution.id, "'a'" in reason.sentence) == (execution_id, True)
    with pytest.raises(NotFound):
        await desk.inspect.why(TENANT, "nobody")


async def test_what_happened_is_what_is_stored(desk: Desk) -> None:
    await desk.create(log("a"), log("b"))
    for outcomes in ({}, {"a": broken()}, {"b": Uncertain("lost")}):
        await desk.tick()
        await desk.run(await desk.triggered(), outcomes)
    found = await desk.inspect.verify(ALL)
    assert (found.checked, found.inconsistent, found.last) == (3, [], None)


async def test_what_differs_is_told_page_by_page(desk: Desk) -> None:
    made = [queued(str(n), f"w{n}", now=NOW + n * SECOND) for n in range(45)]
    lies = {
        made[3].id: made[3].evolve(attempt=7),
        made[30].id: made[30].evolve(error=Failure(Category.PERMANENT, "never happened")),
        made[31].id: made[31].evolve(history=()),
    }
    await desk.executions.add([lies.get(execution.id, execution) for execution in made])
    first = await desk.inspect.verify(ExecutionQuery(tenant=TENANT, limit=30))
    assert first.checked == 30
    assert first.last == made[15]
    second = await desk.inspect.verify(
        ExecutionQuery(tenant=TENANT, limit=30, after=(made[15].created_at, made[15].id))
    )
    assert (second.checked, second.last) == (15, None)
    wrong = {one.execution_id: list(one.differences) for one in first.inconsistent}
    wrong |= {one.execution_id: list(one.differences) for one in second.inconsistent}
    assert wrong.keys() == lies.keys()
    assert wrong[made[3].id] == ["attempt is stored as 7, the history gives 1"]


async def test_only_one_workflow_is_verified_if_asked(desk: Desk) -> None:
    await desk.executions.add([queued("1", "w1"), queued("2", "w2", attempt=3)])
    found = await desk.inspect.verify(ExecutionQuery(tenant=TENANT, workflow_id="w1", limit=9))
    assert (found.checked, found.inconsistent) == (1, [])
