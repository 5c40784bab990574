"""Running to an end: retries, timeouts, compensations, delays, and calls that got lost."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from shared.adapters.memory.clock import settle
from shared.domain import operations
from shared.domain.execution import (
    ActionStatus,
    ErrorCategory,
    EventType,
    Execution,
    Status,
)
from shared.domain.fold import differences
from shared.domain.instants import format_instant
from shared.domain.operations import Resolution
from shared.domain.plan import Plan
from shared.ports.actions import ActionError, PermanentError
from shared.ports.executions import Change, RecordOutcome
from tests.support.builders import NOW, SECOND, queued
from tests.unit.bench import NO, Bench, node, step, working


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with working(Bench()) as made:
        yield made


async def test_a_transient_error_is_retried_at_once(bench: Bench) -> None:
    bench.script.tell("a", ActionError("blip", category=ErrorCategory.TRANSIENT))
    after = await bench.after(bench.definition(step("a", retries=2)))
    assert after.status is Status.COMPLETED
    assert bench.clock.now() == NOW
    assert [c.attempt for c in bench.script.calls] == [1, 2]


async def test_retry_goes_on_beyond_the_policy(bench: Bench) -> None:
    bench.script.tell("a", *(ActionError("no") for _ in range(5)))
    definition = bench.definition({**step("a", retries=1, max="3s"), "onError": "retry"})
    waits = []
    for _ in range(5):
        assert (await bench.after(definition)).status is Status.PENDING
        waits.append(await bench.wait_for_retry())
    assert waits == [2 * SECOND, *[3 * SECOND] * 4]
    assert (await bench.after(definition)).status is Status.COMPLETED


async def test_an_attempt_ends_at_its_timeout(bench: Bench) -> None:
    bench.script.tell("a", asyncio.Event().wait)
    slow = {**step("a", retries=0), "timeout": "10ms"}
    after = await bench.after(bench.definition(slow))
    assert after.error is not None
    assert (after.status, after.error.message) == (Status.FAILED, "not done within 0.01 s")


async def test_an_execution_ends_at_its_timeout_and_undoes_what_it_did(bench: Bench) -> None:
    gate = asyncio.Event()
    bench.script.tell("b", gate.wait)
    undo = {"type": "step", "id": "undo"}
    definition = bench.definition({"id": "a", "compensate": [undo]}, {"id": "b"}, timeout="60s")
    await bench.executions.add([queued(deadline=NOW + 60 * SECOND)])
    holding = await bench.claim()
    running = asyncio.ensure_future(bench.go(holding, definition))
    await settle()
    await bench.clock.advance(20 * SECOND)
    assert not running.done()
    holding.lease_until += 60 * SECOND
    await bench.clock.advance(40 * SECOND)
    await running
    after = await bench.stored()
    assert after.error is not None
    assert (after.status, after.error.category) == (Status.FAILED, ErrorCategory.TIMEOUT)
    assert bench.script.called == ["a", "b", "undo"]


async def test_compensations_run_last_first_and_once_each(bench: Bench) -> None:
    bench.script.tell("c", NO)
    graph = bench.definition(
        node("a", compensate=[{"type": "step", "id": "undo-a", "to": "${ actions.a.output }"}]),
        node("b", "a", compensate=[{"type": "step", "id": "undo-b"}, {"type": "step"}]),
        node("c", "b", onError="compensate", compensate=[{"type": "step", "id": "undo-c"}]),
    )
    after = await bench.after(graph)
    assert bench.script.called == ["a", "b", "c", "undo-b", "b-undo-step-2", "undo-a"]
    assert bench.script.given[-1] == "done"
    assert after.error is not None
    assert (after.status, after.error.message) == (Status.FAILED, "no")
    assert differences(after) == []


async def test_a_failing_compensation_is_recorded_and_the_others_run(bench: Bench) -> None:
    bench.script.tell("undo-b", PermanentError("cannot"))
    bench.script.tell("c", NO)
    graph = bench.definition(
        node("a", compensate=[{"type": "step", "id": "undo-a"}]),
        node("b", "a", compensate=[{"type": "step", "id": "undo-b"}]),
        node("c", "b", onError="compensate"),
    )
    after = await bench.after(graph)
    assert bench.script.called == ["a", "b", "c", "undo-b", "undo-a"]
    assert after.error is not None
    assert after.error.category is ErrorCategory.COMPENSATION_FAILED
    assert "'undo-b' (cannot)" in after.error.message
    assert "no" in after.error.message


async def test_stop_leaves_what_was_done_as_it_is(bench: Bench) -> None:
    bench.script.tell("b", NO)
    graph = bench.definition(
        node("a", compensate=[{"type": "step", "id": "undo-a"}]), node("b", "a")
    )
    assert (await bench.after(graph)).status is Status.FAILED
    assert bench.script.called == ["a", "b"]


async def test_a_delay_holds_no_runner_and_no_lease(bench: Bench) -> None:
    definition = bench.definition(
        {"id": "before"},
        {"id": "rest", "type": "delay", "duration": "2160h"},
        {"id": "after", "to": "${ actions.rest.output.until }"},
    )
    waiting = await bench.after(definition)
    until = NOW + timedelta(days=90)
    assert (waiting.status, waiting.lease) == (Status.WAITING, None)
    assert waiting.next_attempt_at == waiting.wake_at == until
    assert await bench.wait_for_retry() == timedelta(days=90)
    after = await bench.after(definition)
    assert after.status is Status.COMPLETED
    assert bench.script.called == ["before", "after"]
    assert bench.script.given[-1] == format_instant(until)
    assert differences(after) == []


async def test_an_intent_is_on_record_before_an_at_most_once_call(bench: Bench) -> None:
    async def look() -> str:
        return (await bench.stored()).actions["pay"].status.value

    bench.script.tell("pay", look)
    wanted = {"when": "${ input == null }", "to": "${ execution.id }"}
    after = await bench.after(bench.definition({"id": "pay", "type": "once", **wanted}))
    assert after.actions["pay"].output == "started"
    assert after.status is Status.COMPLETED


@pytest.mark.parametrize(
    ("action", "status"),
    [
        ({"when": "${ input == 'yes' }"}, ActionStatus.SKIPPED),
        ({"when": "${ input.missing }"}, ActionStatus.FAILED),
        ({"to": "${ input.missing }"}, ActionStatus.FAILED),
        ({"forEach": {"items": [1]}, "to": "${ item.missing }"}, ActionStatus.FAILED),
    ],
)
async def test_no_intent_is_on_record_of_a_call_that_is_not_made(
    bench: Bench, action: dict[str, Any], status: ActionStatus
) -> None:
    after = await bench.after(bench.definition({"id": "pay", "type": "once", **action}))
    assert after.actions["pay"].status is status
    assert bench.script.called == []
    assert EventType.ACTION_STARTED not in {event.type for event in after.history}


async def test_no_intent_is_on_record_of_an_action_that_the_runner_does_not_know(
    bench: Bench,
) -> None:
    foreign = bench.registry.catalogue.restore(
        {
            "workflowId": "hello",
            "trigger": {"type": "manual"},
            "actions": [{"id": "pay", "type": "no-such"}],
        }
    )
    after = await bench.after(foreign)
    assert after.status is Status.FAILED
    assert EventType.ACTION_STARTED not in {event.type for event in after.history}


async def _lost(bench: Bench) -> Execution:
    """The runner dies in the middle of an at-most-once call; another one takes over."""
    bench.script.tell("pay", asyncio.Event().wait)
    definition = bench.definition({"id": "pay", "type": "once"}, {"id": "ship"})
    first = asyncio.ensure_future(bench.after(definition))
    await settle()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await bench.clock.advance(bench.timing.lease)
    await bench.go(await bench.claim(token="t2"), definition)
    return await bench.stored()


async def test_a_call_lost_with_its_runner_waits_for_an_answer(bench: Bench) -> None:
    waiting = await _lost(bench)
    assert waiting.status is Status.WAITING
    assert waiting.actions["pay"].status is ActionStatus.UNKNOWN
    assert bench.script.called == ["pay"]
    assert waiting.wake_at is not None


@pytest.mark.parametrize(
    ("resolution", "called", "output"),
    [
        (Resolution.HAPPENED, ["pay", "ship"], "said"),
        (Resolution.RETRY, ["pay", "pay", "ship"], "done"),
    ],
)
async def test_an_answer_lets_the_execution_go_on(
    bench: Bench, resolution: Resolution, called: list[str], output: str
) -> None:
    waiting = await _lost(bench)
    definition = bench.definition({"id": "pay", "type": "once"}, {"id": "ship"})
    answered = operations.resolve(
        Plan(definition), waiting, "pay", resolution, "said", bench.clock.now()
    )
    assert await bench.executions.record([Change(waiting, answered)]) == [RecordOutcome.APPLIED]
    await bench.go(await bench.claim(token="t3"), definition)
    after = await bench.stored()
    assert after.status is Status.COMPLETED
    assert (bench.script.called, after.actions["pay"].output) == (called, output)
    assert differences(after) == []


async def test_what_did_not_happen_counts_as_a_failed_attempt(bench: Bench) -> None:
    waiting = await _lost(bench)
    definition = bench.definition({"id": "pay", "type": "once"}, {"id": "ship"})
    now = bench.clock.now()
    answered = operations.resolve(
        Plan(definition), waiting, "pay", Resolution.DID_NOT_HAPPEN, None, now
    )
    state = answered.actions["pay"]
    assert (state.status, state.attempts) == (ActionStatus.PENDING, 1)
    assert state.next_attempt_at == now + 2 * SECOND


@pytest.mark.parametrize("error", [RuntimeError("bug"), TimeoutError()])
async def test_an_at_most_once_call_that_breaks_off_is_not_repeated(
    bench: Bench, error: Exception
) -> None:
    bench.script.tell("pay", error)
    waiting = await bench.after(bench.definition({"id": "pay", "type": "once"}))
    assert waiting.status is Status.WAITING
    assert waiting.actions["pay"].status is ActionStatus.UNKNOWN


async def test_an_at_most_once_action_that_says_it_failed_is_retried(bench: Bench) -> None:
    bench.script.tell("pay", ActionError("declined"))
    definition = bench.definition({**step("pay", retries=1), "type": "once"})
    assert (await bench.after(definition)).status is Status.PENDING
    await bench.wait_for_retry()
    assert (await bench.after(definition)).status is Status.COMPLETED


@pytest.mark.parametrize(
    ("category", "status"), [("permanent", Status.FAILED), ("recoverable", Status.PENDING)]
)
async def test_fail_fails_as_it_was_told(bench: Bench, category: str, status: Status) -> None:
    action = {"type": "fail", "id": "f", "message": "on ${ workflow.id }", "category": category}
    after = await bench.after(bench.definition(action))
    assert after.status is status
    assert after.error is not None
    assert after.error.message == "on hello"
