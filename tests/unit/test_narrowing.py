"""A policy that leaves less room than an earlier version: what is held since then counts."""

from collections.abc import Collection, Mapping
from typing import Any, Final

import pytest

from shared.adapters.memory.executions import MemoryExecutions
from shared.contracts.api import workflow_view
from shared.domain.due import due_workflows
from shared.domain.errors import WorkflowBusy
from shared.domain.execution import HOLDING, Execution, SkipReason, Status
from shared.domain.overlap import Crowd
from shared.domain.rescheduling import redefine
from shared.domain.workflow import TriggerStatus, create
from shared.ports.workflows import Upcoming
from tests.support.builders import NOW, SECOND, TENANT, definition, workflow
from tests.unit.desk import Desk, broken, log
from tests.unit.doubles import FlakyBus, firing

PERIODIC: Final = {"type": "periodic", "interval": "1m"}
ROOMY: Final[dict[str, Any]] = {"overlap": "allow", "maxConcurrent": 5}


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def edit(desk: Desk, **more: Any) -> None:
    """Give `hello` a new definition, which skips overlaps unless it says otherwise."""
    document = {"trigger": {"type": "manual"}, "actions": [log("a")], **more}
    await desk.define.replace(TENANT, "hello", document, None)


async def trigger(desk: Desk) -> Execution:
    execution, _ = await desk.trigger(TENANT, "hello", None, None)
    return execution


def holding(desk: Desk) -> list[str]:
    return [e.id for e in desk.executions.stored() if e.status in HOLDING]


async def left_in_the_second_slot(desk: Desk) -> tuple[Execution, Execution]:
    """Return one that failed and one that runs, in the second slot of a policy that is gone."""
    await desk.create(log("a"), **ROOMY)
    first, second = await trigger(desk), await trigger(desk)
    await desk.run(first.id, {"a": broken()})
    await edit(desk)
    return first, second


async def test_an_instant_skips_what_was_left_running_in_another_slot(desk: Desk) -> None:
    _, second = await left_in_the_second_slot(desk)
    await edit(desk, trigger=PERIODIC)
    due = Upcoming(TENANT, "hello", NOW + 60 * SECOND)
    scheduler = firing(desk.workflows, desk.executions, FlakyBus(desk.clock), desk.clock)
    await desk.clock.advance(60 * SECOND)
    await scheduler([due])
    (skipped,) = [e for e in desk.executions.stored() if e.scheduled_for]
    assert skipped.skip is not None
    assert (skipped.skip.reason, holding(desk)) == (SkipReason.OVERLAP, [second.id])
    await desk.run(second.id)
    await desk.clock.advance(60 * SECOND)
    await scheduler([due])
    assert len(holding(desk)) == 1


async def test_a_trigger_names_what_was_left_running_in_another_slot(desk: Desk) -> None:
    _, second = await left_in_the_second_slot(desk)
    with pytest.raises(WorkflowBusy) as refused:
        await trigger(desk)
    assert (refused.value.execution_id, holding(desk)) == (second.id, [second.id])
    await desk.run(second.id)
    assert (await trigger(desk)).active_key == "default:hello"


async def test_a_retry_is_refused_beside_what_was_left_in_another_slot(desk: Desk) -> None:
    first, second = await left_in_the_second_slot(desk)
    with pytest.raises(WorkflowBusy) as refused:
        await desk.retry(TENANT, first.id)
    assert (refused.value.execution_id, holding(desk)) == (second.id, [second.id])
    await desk.run(second.id)
    assert (await desk.retry(TENANT, first.id)).status is Status.QUEUED


async def test_nobody_overtakes_what_an_earlier_version_let_wait(desk: Desk) -> None:
    await desk.create(log("a"), overlap="buffer-one")
    first, second = await trigger(desk), await trigger(desk)
    await edit(desk)
    await desk.run(first.id)
    with pytest.raises(WorkflowBusy) as refused:
        await trigger(desk)
    assert (second.status, refused.value.execution_id) == (Status.BUFFERED, second.id)


async def test_all_that_is_held_is_shown(desk: Desk) -> None:
    await desk.create(log("a"), **ROOMY)
    executions = [await trigger(desk) for _ in range(3)]
    await desk.run(executions[0].id)
    await edit(desk)
    state = await desk.state()
    assert [e.id for e in state.holders] == [e.id for e in executions[1:]]
    view = workflow_view(state.workflow, state.holders, (), state.buffered).trigger
    assert (state.status, view.running) == (TriggerStatus.BUSY, 2)
    assert view.execution_id == executions[1].id


async def test_what_was_let_wait_is_shown_as_well(desk: Desk) -> None:
    await desk.create(log("a"), overlap="buffer-one")
    await trigger(desk)
    await trigger(desk)
    await edit(desk)
    state = await desk.state()
    view = workflow_view(state.workflow, state.holders, (), state.buffered).trigger
    assert (view.running, view.buffered) == (None, 1)


class Uncounted(MemoryExecutions):
    """Nobody may ask who is there."""

    async def crowds(self, workflow_keys: Collection[str]) -> Mapping[str, Crowd]:
        raise AssertionError(f"the crowd of {workflow_keys} was read")


async def test_one_that_never_had_room_for_more_is_not_looked_at_before_it_fires() -> None:
    desk = Desk(Uncounted())
    await desk.create(log("a"))
    await edit(desk, trigger=PERIODIC)
    await desk.clock.advance(60 * SECOND)
    scheduler = firing(desk.workflows, desk.executions, FlakyBus(desk.clock), desk.clock)
    await scheduler([Upcoming(TENANT, "hello", desk.clock.now())])
    with pytest.raises(WorkflowBusy):
        await trigger(desk)
    assert (len(holding(desk)), len((await desk.state()).holders)) == (1, 1)


def test_only_a_version_that_leaves_less_room_than_one_before_has_to_look() -> None:
    roomy, plain = definition(**ROOMY), definition()
    edited = redefine(workflow(timeout="1m"), plain, 2, NOW)
    assert edited.policy.is_plain
    narrowed = redefine(redefine(edited, roomy, 3, NOW), plain, 4, NOW)
    again = redefine(narrowed, definition(timeout="1m"), 5, NOW)
    assert [narrowed.policy.is_plain, again.policy.is_plain] == [False, False]
    assert create(TENANT, plain, 1, NOW).policy.is_plain


def test_one_that_is_created_anew_has_to_look_for_what_the_deleted_one_left() -> None:
    anew = create(TENANT, definition(interval="10s"), 2, NOW)
    (due,) = due_workflows(anew)
    assert not due.policy.is_plain
