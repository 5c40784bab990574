"""Replays and reruns: what they reuse, what guards them, and inputs held against their schema."""

import pytest
from pydantic import JsonValue

from shared.domain.errors import (
    Conflict,
    IdempotencyKeyReused,
    InvalidInput,
    NotFound,
    WorkflowBusy,
    WorkflowDisabled,
)
from shared.domain.execution import EventType, Execution, Origin, Status
from shared.domain.fold import differences
from tests.support.builders import TENANT
from tests.unit.desk import Desk, Json, log
from workflows_svc.use_cases.repeat import Edited

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def completed(desk: Desk) -> Execution:
    await desk.create(log("a"), log("b"), log("c"))
    return await desk.run(await desk.triggered({"n": 1}))


async def repeat(
    desk: Desk,
    execution: Execution,
    action: str | None = None,
    edited: Edited | None = None,
    key: str | None = None,
) -> tuple[Execution, bool]:
    return await desk.repeat(
        TENANT, execution.id, action=action, edited=edited, idempotency_key=key
    )


def pointers(refused: pytest.ExceptionInfo[InvalidInput]) -> list[str]:
    return [problem.pointer for problem in refused.value.problems]


async def test_a_replay_reuses_what_came_before_the_action(desk: Desk) -> None:
    first = await completed(desk)
    again, replayed = await repeat(desk, first, "b")
    assert (again.status, again.input, replayed) == (Status.QUEUED, {"n": 1}, False)
    assert again.origin == Origin("replay", first.id, "b")
    assert desk.asked() == [again.id]
    ended = await desk.run(again.id)
    assert [(e.type, e.action) for e in ended.history if e.action] == [
        (EventType.ACTION_REUSED, "a"),
        (EventType.ACTION_COMPLETED, "b"),
        (EventType.ACTION_COMPLETED, "c"),
    ]
    assert differences(ended) == []


async def test_a_rerun_reuses_nothing_but_the_input(desk: Desk) -> None:
    first = await completed(desk)
    again, _ = await repeat(desk, first)
    assert (again.input, again.origin) == (first.input, Origin("rerun", first.id))
    ended = await desk.run(again.id)
    assert sum(e.type is EventType.ACTION_COMPLETED for e in ended.history) == 3


@pytest.mark.parametrize("action", [None, "b"])
async def test_an_edited_input_takes_the_place_of_the_old_one(
    desk: Desk, action: str | None
) -> None:
    first = await completed(desk)
    again, _ = await repeat(desk, first, action, Edited(None))
    assert again.input is None


async def test_the_pinned_version_is_repeated_not_the_present_one(desk: Desk) -> None:
    first = await completed(desk)
    other: Json = {"trigger": {"type": "manual"}, "actions": [log("z")]}
    await desk.define.replace(TENANT, "hello", other, None)
    again, _ = await repeat(desk, first, "b")
    assert again.version == 1
    assert (await desk.run(again.id)).status is Status.COMPLETED


async def test_what_is_not_there_cannot_be_repeated(desk: Desk) -> None:
    first = await completed(desk)
    with pytest.raises(NotFound, match="action 'nothing'"):
        await repeat(desk, first, "nothing")
    with pytest.raises(NotFound, match="execution 'nobody'"):
        await desk.repeat(TENANT, "nobody", action=None, edited=None, idempotency_key=None)
    assert desk.asked() == []


@pytest.mark.parametrize("action", [None, "b"])
async def test_a_busy_workflow_refuses_a_repetition_as_it_does_a_trigger(
    desk: Desk, action: str | None
) -> None:
    first = await completed(desk)
    holder = await desk.triggered()
    with pytest.raises(WorkflowBusy) as refused:
        await repeat(desk, first, action)
    assert refused.value.execution_id == holder


async def test_an_unfinished_execution_holds_its_workflow_against_its_own_repetition(
    desk: Desk,
) -> None:
    await desk.create(log("a"))
    execution = await desk.stored(await desk.triggered())
    with pytest.raises(WorkflowBusy):
        await repeat(desk, execution)


async def test_a_workflow_that_is_off_or_gone_refuses_a_repetition(desk: Desk) -> None:
    first = await completed(desk)
    await desk.define.set_enabled(TENANT, "hello", enabled=False, if_match=None)
    with pytest.raises(WorkflowDisabled):
        await repeat(desk, first)
    await desk.define.delete(TENANT, "hello", None)
    with pytest.raises(Conflict, match="was deleted"):
        await repeat(desk, first)
    desk.workflows._versions.clear()
    with pytest.raises(Conflict, match="is gone"):
        await repeat(desk, first, "b")


async def test_a_key_makes_two_repetitions_one(desk: Desk) -> None:
    first = await completed(desk)
    one, _ = await repeat(desk, first, "b", key="k")
    two, replayed = await repeat(desk, first, "b", key="k")
    assert (two, replayed) == (one, True)
    await desk.run(one.id)
    await desk.define.set_enabled(TENANT, "hello", enabled=False, if_match=None)
    three, replayed = await repeat(desk, first, "b", key="k")
    assert (three.id, replayed) == (one.id, True)
    assert desk.asked() == [one.id]


async def test_a_key_stands_for_one_request_only(desk: Desk) -> None:
    first = await completed(desk)
    one, _ = await repeat(desk, first, key="k")
    await desk.run(one.id)
    with pytest.raises(IdempotencyKeyReused):
        await repeat(desk, first, "b", key="k")
    with pytest.raises(IdempotencyKeyReused):
        await repeat(desk, first, edited=Edited(5), key="k")
    with pytest.raises(IdempotencyKeyReused):
        await repeat(desk, one, key="k")
    with pytest.raises(IdempotencyKeyReused):
        await desk.trigger(TENANT, "hello", {"n": 1}, "k")


async def test_inputs_are_held_against_the_schema_of_the_version_that_runs(desk: Desk) -> None:
    await desk.create(log("a"), inputSchema=SCHEMA)
    wrong: list[tuple[JsonValue, str]] = [(None, ""), ({"n": "x"}, "/n")]
    for given, pointer in wrong:
        with pytest.raises(InvalidInput) as refused:
            await desk.trigger(TENANT, "hello", given, None)
        assert pointers(refused) == [pointer]
    first = await desk.run(await desk.triggered({"n": 1}))
    with pytest.raises(InvalidInput) as refused:
        await repeat(desk, first, "a", Edited({"n": "x"}))
    assert pointers(refused) == ["/input/n"]
    loose: Json = {"trigger": {"type": "manual"}, "actions": [log("a")]}
    await desk.define.replace(TENANT, "hello", loose, None)
    with pytest.raises(InvalidInput):
        await repeat(desk, first, edited=Edited({}))
    await desk.run(await desk.triggered({}))
    again, _ = await repeat(desk, first)
    assert again.input == {"n": 1}
    assert len(desk.asked()) == 1


async def test_what_a_key_started_is_told_although_the_schema_changed(desk: Desk) -> None:
    await desk.create(log("a"))
    one, _ = await desk.trigger(TENANT, "hello", {}, "k")
    strict: Json = {"trigger": {"type": "manual"}, "actions": [log("a")], "inputSchema": SCHEMA}
    await desk.define.replace(TENANT, "hello", strict, None)
    assert await desk.trigger(TENANT, "hello", {}, "k") == (one, True)
    with pytest.raises(InvalidInput):
        await desk.trigger(TENANT, "hello", {}, "other")


async def test_an_edited_input_that_cannot_be_stored_is_refused(desk: Desk) -> None:
    first = await completed(desk)
    with pytest.raises(InvalidInput) as refused:
        await repeat(desk, first, edited=Edited({"n": 2**70}))
    assert pointers(refused) == ["/input/n"]


async def test_a_definition_with_a_broken_input_schema_is_refused(desk: Desk) -> None:
    with pytest.raises(InvalidInput) as refused:
        await desk.create(log("a"), inputSchema={"properties": {"n": {"type": "number?"}}})
    assert pointers(refused) == ["/inputSchema/properties/n/type"]
    await desk.create(log("a"))
    document: Json = {
        "trigger": {"type": "manual"},
        "actions": [log("a")],
        "inputSchema": {"$ref": "http://169.254.169.254/latest"},
    }
    with pytest.raises(InvalidInput) as refused:
        await desk.define.replace(TENANT, "hello", document, None)
    assert pointers(refused) == ["/inputSchema/$ref"]
