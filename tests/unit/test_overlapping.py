"""Triggers by hand and by the schedule while executions of the workflow are unfinished."""

from collections.abc import Collection, Mapping

import pytest

from shared.adapters.memory.executions import MemoryExecutions
from shared.domain import transitions
from shared.domain.errors import WorkflowBusy
from shared.domain.execution import Execution, Status
from shared.domain.fold import differences
from shared.domain.overlap import MAX_BACKFILLED, MAX_BUFFERED, Crowd
from shared.domain.workflow import TriggerStatus
from shared.ports.bus import WorkflowFreed
from shared.use_cases.buffers import ServeBuffer, WorkflowRef
from tests.support.builders import NOW, TENANT, queued
from tests.unit.desk import Desk, broken, log, undone


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def trigger(desk: Desk) -> Execution:
    execution, _ = await desk.trigger(TENANT, "hello", None, None)
    return execution


async def test_so_many_run_side_by_side_as_are_allowed(desk: Desk) -> None:
    await desk.create(log("a"), overlap="allow", maxConcurrent=2)
    first, second = await trigger(desk), await trigger(desk)
    assert [first.active_key, second.active_key] == ["default:hello", "default:hello#1"]
    with pytest.raises(WorkflowBusy) as refused:
        await trigger(desk)
    assert refused.value.execution_id == first.id
    assert desk.asked() == [first.id, second.id]
    await desk.run(first.id)
    assert (await trigger(desk)).active_key == "default:hello"


async def test_what_ran_in_another_slot_adds_up(desk: Desk) -> None:
    await desk.create(log("a"), maxConcurrent=2)
    await trigger(desk)
    second = await trigger(desk)
    assert differences(await desk.stored(second.id)) == []
    ended = await desk.run(second.id)
    assert (ended.status, differences(ended)) == (Status.COMPLETED, [])


async def test_a_retried_execution_takes_a_slot_that_is_free(desk: Desk) -> None:
    await desk.create(log("a"), maxConcurrent=2)
    failed = await desk.run((await trigger(desk)).id, {"a": broken()})
    other = await trigger(desk)
    retried = await desk.retry(TENANT, failed.id)
    assert (other.active_key, retried.active_key) == ("default:hello", "default:hello#1")
    assert differences(await desk.stored(failed.id)) == []
    await desk.run(retried.id, {"a": broken()})
    await trigger(desk)
    with pytest.raises(WorkflowBusy):
        await desk.retry(TENANT, failed.id)


async def served(desk: Desk) -> list[str]:
    """Do what a scheduler does once it hears of a workflow; returns what was promoted."""
    serve = ServeBuffer(desk.workflows, desk.executions, desk.clock, desk.timing)
    found = await serve(WorkflowRef(TENANT, "hello"))
    return [execution.id for execution in found.promoted]


class Crowded(MemoryExecutions):
    """Lets somebody in each time just after the crowd was looked at."""

    def __init__(self, others: list[Execution]) -> None:
        super().__init__()
        self.others = others

    async def crowds(self, workflow_keys: Collection[str]) -> Mapping[str, Crowd]:
        found = await super().crowds(workflow_keys)
        if self.others:
            await self.add([self.others.pop()])
        return found


async def test_whoever_finds_a_slot_just_taken_looks_for_another() -> None:
    others = [transitions.take_slot(transitions.queue(queued(str(n)), NOW), n) for n in (1, 0)]
    desk = Desk(Crowded(others))
    await desk.create(log("a"), maxConcurrent=3)
    assert (await trigger(desk)).active_key == "default:hello#2"


async def test_a_trigger_that_finds_the_workflow_busy_waits_for_its_turn(desk: Desk) -> None:
    await desk.create(log("a"), overlap="buffer-all", maxBuffered=2)
    executions = [await trigger(desk) for _ in range(3)]
    first, second, third = executions
    assert [e.status for e in executions] == [Status.QUEUED, Status.BUFFERED, Status.BUFFERED]
    assert desk.asked() == [first.id]
    assert desk.notices == [WorkflowFreed(TENANT, "hello")] * 2
    with pytest.raises(WorkflowBusy, match="its buffer is full with 2"):
        await trigger(desk)
    state = await desk.state()
    assert (state.status, state.buffered) == (TriggerStatus.BUSY, 2)
    assert await served(desk) == []
    await desk.run(first.id)
    assert await served(desk) == [second.id]
    ended = await desk.run(second.id)
    assert (ended.status, differences(ended)) == (Status.COMPLETED, [])
    assert (await desk.stored(third.id)).status is Status.BUFFERED


async def test_the_same_request_sent_again_finds_what_it_buffered(desk: Desk) -> None:
    await desk.create(log("a"), overlap="buffer-one")
    await trigger(desk)
    waits, _ = await desk.trigger(TENANT, "hello", None, "key")
    again, replayed = await desk.trigger(TENANT, "hello", None, "key")
    assert (waits.status, again.id, replayed) == (Status.BUFFERED, waits.id, True)


async def test_a_replay_waits_for_its_turn_with_what_it_reuses(desk: Desk) -> None:
    await desk.create(log("a"), log("b"), overlap="buffer-one")
    done = await desk.run((await trigger(desk)).id)
    holder = await trigger(desk)
    again, _ = await desk.repeat(TENANT, done.id, action="b", edited=None, idempotency_key=None)
    assert again.status is Status.BUFFERED
    assert differences(await desk.stored(again.id)) == []
    await desk.run(holder.id)
    await served(desk)
    ended = await desk.run(again.id)
    assert (ended.status, differences(ended)) == (Status.COMPLETED, [])
    assert [e.type.value for e in ended.history if not e.action] == [
        "buffered",
        "promoted",
        "claimed",
        "completed",
    ]


async def test_why_names_those_before_it(desk: Desk) -> None:
    await desk.create(log("a"), overlap="buffer-all")
    first, second, third = [await trigger(desk) for _ in range(3)]
    _, behind_one = await desk.inspect.why(TENANT, second.id)
    assert behind_one.sentence.endswith(f"waits for its turn behind '{first.id}'.")
    assert behind_one.until is None
    _, behind_two = await desk.inspect.why(TENANT, third.id)
    assert behind_two.sentence.endswith(f"'{first.id}' and 1 more that came before it.")
    await desk.run(first.id)
    _, next_one = await desk.inspect.why(TENANT, second.id)
    assert next_one.sentence.endswith("and it is its turn.")


async def test_cancelling_tells_of_the_slot_that_is_free_now(desk: Desk) -> None:
    await desk.create(log("a"), overlap="buffer-one")
    first, second = await trigger(desk), await trigger(desk)
    desk.notices.clear()
    await desk.cancel(TENANT, first.id)
    assert desk.notices == [WorkflowFreed(TENANT, "hello")]
    assert await served(desk) == [second.id]


async def test_cancelling_what_is_buffered_ends_it_at_once(desk: Desk) -> None:
    await desk.create(undone("a"), log("b"), overlap="buffer-one")
    done = await desk.run((await trigger(desk)).id)
    await trigger(desk)
    replay, _ = await desk.repeat(TENANT, done.id, action="b", edited=None, idempotency_key=None)
    desk.notices.clear()
    cancelled = await desk.cancel(TENANT, replay.id)
    assert (cancelled.status, cancelled.buffer_key) == (Status.CANCELLED, None)
    assert desk.notices == []
    assert (await trigger(desk)).status is Status.BUFFERED


async def test_a_deleted_workflow_lets_what_was_accepted_run_unless_told_otherwise(
    desk: Desk,
) -> None:
    await desk.create(log("a"), overlap="buffer-all", maxConcurrent=2)
    executions = [await trigger(desk) for _ in range(4)]
    await desk.remove(TENANT, "hello", None, cancel=False)
    await desk.run(executions[0].id)
    assert await served(desk) == [executions[2].id]
    await desk.remove(TENANT, "hello", None, cancel=True)
    ended = [(await desk.stored(e.id)).status for e in executions]
    assert ended == [Status.COMPLETED, *[Status.CANCELLED] * 3]
    assert await desk.executions.crowds(["default:hello"]) == {}


async def test_all_that_waits_is_ended_however_much_it_is(desk: Desk) -> None:
    await desk.create(log("a"), overlap="buffer-all", maxBuffered=MAX_BUFFERED)
    await trigger(desk)
    places = range(MAX_BUFFERED + MAX_BACKFILLED)
    await desk.executions.add([transitions.buffer(queued(f"w{n}"), n) for n in places])
    await desk.remove(TENANT, "hello", None, cancel=True)
    assert await desk.executions.crowds(["default:hello"]) == {}
    assert {e.status for e in desk.executions.stored()} == {Status.CANCELLED}


async def test_a_disabled_workflow_serves_its_buffer(desk: Desk) -> None:
    await desk.create(log("a"), overlap="buffer-one")
    first, second = await trigger(desk), await trigger(desk)
    await desk.define.set_enabled(TENANT, "hello", enabled=False, if_match=None)
    await desk.run(first.id)
    assert await served(desk) == [second.id]


async def test_a_full_buffer_refuses_also_while_its_turn_has_just_come(desk: Desk) -> None:
    await desk.create(log("a"), overlap="buffer-one")
    first, second = await trigger(desk), await trigger(desk)
    await desk.run(first.id)
    with pytest.raises(WorkflowBusy, match="its buffer is full with 1") as refused:
        await trigger(desk)
    assert refused.value.execution_id == second.id
