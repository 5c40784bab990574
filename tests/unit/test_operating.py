"""Cancelling, retrying and resolving executions: what follows, and what is refused."""

from typing import Any

import pytest

from shared.adapters.memory.executions import MemoryExecutions
from shared.domain.errors import (
    Conflict,
    ExecutionFinished,
    InvalidInput,
    NotFound,
    WorkflowBusy,
    WorkflowDisabled,
)
from shared.domain.execution import ActionStatus, EventType, Execution, Status
from shared.domain.fold import differences
from shared.domain.operations import Resolution
from shared.domain.outcomes import Uncertain
from shared.ports.bus import ExecutionCancelled
from shared.ports.executions import Change, RecordOutcome
from tests.support.builders import TENANT
from tests.unit.desk import Desk, Json, log, undone

LOST = Uncertain("the connection broke")


@pytest.fixture
def desk() -> Desk:
    return Desk()


class RacingExecutions(MemoryExecutions):
    """Somebody else is quicker: before the next change is stored, `first` happens."""

    first: Any = None

    async def record(self, changes: Any) -> list[RecordOutcome]:
        if self.first is not None:
            first, self.first = self.first, None
            await first()
        return await super().record(changes)


async def test_cancelling_what_has_nothing_to_undo_ends_it_at_once(desk: Desk) -> None:
    await desk.create(log("a"))
    execution_id = await desk.triggered()
    await desk.claimed(execution_id)
    cancelled = await desk.cancel(TENANT, execution_id)
    assert cancelled.status is Status.CANCELLED
    assert desk.notices == [ExecutionCancelled(execution_id, cancelled.last_token)]
    assert cancelled.last_token is not None
    assert desk.asked() == []


async def test_cancelling_what_did_something_tells_runners_to_stop_and_to_undo(desk: Desk) -> None:
    await desk.create(undone("a"))
    execution_id = await desk.triggered()
    await desk.claimed(execution_id)
    cancelled = await desk.cancel(TENANT, execution_id)
    assert cancelled.status is Status.QUEUED
    assert cancelled.history[-1].type is EventType.CANCEL_REQUESTED
    assert desk.notices == [ExecutionCancelled(execution_id, cancelled.last_token)]
    assert cancelled.last_token is not None
    assert desk.asked() == [execution_id]
    ended = await desk.run(execution_id)
    assert ended.status is Status.CANCELLED
    assert ended.actions["undo-a"].status is ActionStatus.COMPLETED
    assert differences(ended) == []


async def test_no_runner_is_told_to_stop_what_none_of_them_holds(desk: Desk) -> None:
    """The notice could come after a runner has begun to undo things, and abort that."""
    await desk.create(undone("a"), log("b"))
    execution_id = await desk.triggered()
    await desk.run(execution_id, {"b": LOST})
    assert (await desk.cancel(TENANT, execution_id)).status is Status.QUEUED
    assert (desk.notices, desk.asked()) == ([], [execution_id])


async def test_cancelling_twice_while_things_are_undone_is_refused(desk: Desk) -> None:
    await desk.create(undone("a"), log("b"))
    execution_id = await desk.triggered()
    await desk.run(execution_id, {"b": LOST})
    await desk.cancel(TENANT, execution_id)
    with pytest.raises(Conflict, match="ending already"):
        await desk.cancel(TENANT, execution_id)
    assert desk.asked() == [execution_id]


async def test_cancelling_without_the_pinned_version_undoes_nothing(desk: Desk) -> None:
    await desk.create(undone("a"), log("b"))
    execution_id = await desk.triggered()
    await desk.run(execution_id, {"b": LOST})
    desk.workflows._versions.clear()
    assert (await desk.cancel(TENANT, execution_id)).status is Status.CANCELLED


async def test_cancelling_undoes_what_the_pinned_version_did_not_the_present_one(
    desk: Desk,
) -> None:
    await desk.create(undone("a"), log("b"))
    execution_id = await desk.triggered()
    await desk.run(execution_id, {"b": LOST})
    plain: Json = {"trigger": {"type": "manual"}, "actions": [log("a"), log("b")]}
    await desk.define.replace(TENANT, "hello", plain, None)
    assert (await desk.cancel(TENANT, execution_id)).ending is not None


async def test_what_is_unknown_or_has_ended_cannot_be_cancelled(desk: Desk) -> None:
    await desk.create(log("a"))
    execution_id = await desk.triggered()
    await desk.run(execution_id)
    with pytest.raises(ExecutionFinished):
        await desk.cancel(TENANT, execution_id)
    with pytest.raises(NotFound):
        await desk.cancel(TENANT, "nobody")
    assert desk.notices == []


async def test_deleting_with_cancel_is_content_with_an_execution_that_is_ending(
    desk: Desk,
) -> None:
    await desk.create(undone("a"), log("b"))
    execution_id = await desk.triggered()
    await desk.run(execution_id, {"b": LOST})
    await desk.cancel(TENANT, execution_id)
    await desk.remove(TENANT, "hello", None, cancel=True)
    await desk.remove(TENANT, "hello", None, cancel=True)
    assert (await desk.run(execution_id)).status is Status.CANCELLED
    with pytest.raises(NotFound):
        await desk.remove(TENANT, "hello", None, cancel=True)


async def test_a_retry_goes_on_where_it_failed_and_asks_a_runner_at_once(desk: Desk) -> None:
    failed = await desk.failed(log("a"), log("b"), at="b")
    await desk.tick()
    retried = await desk.retry(TENANT, failed.id)
    assert (retried.status, retried.wake_at) == (Status.QUEUED, desk.clock.now())
    assert desk.asked() == [failed.id]
    assert desk.requests[0].emitted_at == desk.clock.now()
    ended = await desk.run(failed.id)
    assert ended.status is Status.COMPLETED
    assert [e.action for e in ended.history if e.type is EventType.ACTION_COMPLETED] == ["a", "b"]
    assert differences(ended) == []


async def test_a_retry_is_refused_while_another_execution_holds_the_workflow(desk: Desk) -> None:
    failed = await desk.failed(log("a"), at="a")
    holder = await desk.triggered()
    with pytest.raises(WorkflowBusy) as refused:
        await desk.retry(TENANT, failed.id)
    assert refused.value.execution_id == holder
    assert await desk.stored(failed.id) == failed
    assert desk.asked() == []


async def test_a_retry_tries_again_if_the_holder_has_ended_meanwhile(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = await desk.failed(log("a"), at="a")
    holder = await desk.triggered()
    look = desk.executions.active

    async def too_late(keys: list[str]) -> Any:
        await desk.run(holder)
        return await look(keys)

    monkeypatch.setattr(desk.executions, "active", too_late)
    assert (await desk.retry(TENANT, failed.id)).status is Status.QUEUED


@pytest.mark.parametrize("state", ["queued", "completed", "cancelled"])
async def test_only_what_failed_can_be_retried(desk: Desk, state: str) -> None:
    await desk.create(log("a"))
    execution_id = await desk.triggered()
    if state == "completed":
        await desk.run(execution_id)
    if state == "cancelled":
        await desk.cancel(TENANT, execution_id)
    with pytest.raises(Conflict, match=f"is {state}; only a failed one"):
        await desk.retry(TENANT, execution_id)


async def test_what_was_undone_cannot_be_retried(desk: Desk) -> None:
    failed = await desk.failed(undone("a"), log("b", onError="compensate"), at="b")
    assert failed.status is Status.FAILED
    with pytest.raises(Conflict, match="compensated"):
        await desk.retry(TENANT, failed.id)


async def test_a_retry_respects_the_workflow_that_it_would_run(desk: Desk) -> None:
    failed = await desk.failed(log("a"), at="a")
    with pytest.raises(NotFound):
        await desk.retry(TENANT, "nobody")
    await desk.define.set_enabled(TENANT, "hello", enabled=False, if_match=None)
    with pytest.raises(WorkflowDisabled):
        await desk.retry(TENANT, failed.id)
    await desk.define.delete(TENANT, "hello", None)
    with pytest.raises(Conflict, match="was deleted"):
        await desk.retry(TENANT, failed.id)
    desk.workflows._versions.clear()
    with pytest.raises(Conflict, match="Version 1 of workflow 'hello' is gone"):
        await desk.retry(TENANT, failed.id)
    assert await desk.stored(failed.id) == failed


async def test_two_retries_at_once_are_one() -> None:
    executions = RacingExecutions()
    desk = Desk(executions)
    failed = await desk.failed(log("a"), at="a")

    async def other() -> None:
        await desk.retry(TENANT, failed.id)

    executions.first = other
    with pytest.raises(Conflict, match="is queued"):
        await desk.retry(TENANT, failed.id)
    assert desk.asked() == [failed.id]


async def uncertain(desk: Desk, *more: dict[str, Any]) -> Execution:
    """Return an execution that waits for an operator's answer about `a`."""
    await desk.create(log("a"), log("b"), *more)
    waiting = await desk.run(await desk.triggered(), {"a": LOST})
    assert waiting.status is Status.WAITING
    await desk.tick()
    return waiting


async def test_what_happened_counts_as_done_with_the_output_given(desk: Desk) -> None:
    waiting = await uncertain(desk)
    resolved = await desk.resolve(TENANT, waiting.id, "a", Resolution.HAPPENED, {"paid": 1})
    assert resolved.status is Status.QUEUED
    assert resolved.actions["a"].output == {"paid": 1}
    assert desk.asked() == [waiting.id]
    assert desk.requests[0].emitted_at == desk.clock.now()
    ended = await desk.run(waiting.id)
    assert ended.status is Status.COMPLETED
    assert differences(ended) == []


async def test_what_did_not_happen_counts_as_a_failure(desk: Desk) -> None:
    waiting = await uncertain(desk)
    await desk.resolve(TENANT, waiting.id, "a", Resolution.DID_NOT_HAPPEN, None)
    ended = await desk.run(waiting.id)
    assert (ended.status, ended.actions["a"].status) == (Status.FAILED, ActionStatus.FAILED)


async def test_a_resolution_can_have_the_call_made_again(desk: Desk) -> None:
    waiting = await uncertain(desk)
    await desk.resolve(TENANT, waiting.id, "a", Resolution.RETRY, None)
    assert (await desk.run(waiting.id)).actions["a"].attempts == 2


@pytest.mark.parametrize("change", ["disable", "delete"])
async def test_an_answer_is_taken_for_a_workflow_that_is_off(desk: Desk, change: str) -> None:
    waiting = await uncertain(desk)
    if change == "disable":
        await desk.define.set_enabled(TENANT, "hello", enabled=False, if_match=None)
    else:
        await desk.define.delete(TENANT, "hello", None)
    await desk.resolve(TENANT, waiting.id, "a", Resolution.HAPPENED, None)
    assert (await desk.run(waiting.id)).status is Status.COMPLETED


async def test_an_answer_about_something_else_is_refused(desk: Desk) -> None:
    waiting = await uncertain(desk)
    for execution_id, action in (("nobody", "a"), (waiting.id, "b"), (waiting.id, "a[0]")):
        with pytest.raises(NotFound):
            await desk.resolve(TENANT, execution_id, action, Resolution.RETRY, None)
    await desk.resolve(TENANT, waiting.id, "a", Resolution.HAPPENED, None)
    with pytest.raises(Conflict, match="not unknown"):
        await desk.resolve(TENANT, waiting.id, "a", Resolution.HAPPENED, None)
    assert desk.asked() == [waiting.id]


async def test_an_answer_while_other_actions_run_is_refused(desk: Desk) -> None:
    waiting = await uncertain(desk)
    claimed = await desk.stored(waiting.id)
    assert claimed.next_attempt_at is not None
    await desk.clock.advance(claimed.next_attempt_at - desk.clock.now())
    await desk.claimed(waiting.id)
    with pytest.raises(Conflict, match=r"running other actions.* when the execution is 'waiting'"):
        await desk.resolve(TENANT, waiting.id, "a", Resolution.RETRY, None)


async def test_an_output_that_cannot_be_stored_is_refused_where_it_is_wrong(desk: Desk) -> None:
    waiting = await uncertain(desk)
    with pytest.raises(InvalidInput) as refused:
        await desk.resolve(TENANT, waiting.id, "a", Resolution.HAPPENED, {"n": 2**70})
    assert [problem.pointer for problem in refused.value.problems] == ["/output/n"]


async def test_an_output_that_no_longer_fits_is_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = await uncertain(desk)

    async def full(changes: list[Change]) -> list[RecordOutcome]:
        return [RecordOutcome.UNSERIALISABLE] * len(changes)

    monkeypatch.setattr(desk.executions, "record", full)
    with pytest.raises(InvalidInput, match="too large"):
        await desk.resolve(TENANT, waiting.id, "a", Resolution.HAPPENED, "x")


async def test_a_change_that_always_comes_too_late_is_refused_in_the_end(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.create(log("a"))
    execution_id = await desk.triggered()

    async def late(changes: list[Change]) -> list[RecordOutcome]:
        return [RecordOutcome.REFUSED] * len(changes)

    monkeypatch.setattr(desk.executions, "record", late)
    with pytest.raises(Conflict, match="changes faster"):
        await desk.cancel(TENANT, execution_id)
