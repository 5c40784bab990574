"""Running a graph: what waits for what, what is skipped, and what is undone."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import JsonValue

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
from shared.domain.items import output_of
from shared.domain.operations import Resolution
from shared.domain.plan import Plan
from shared.ports.actions import ActionError, PermanentError
from shared.ports.executions import Change, RecordOutcome
from tests.support.builders import NOW, SECOND, queued
from tests.unit.bench import Bench, step, working

NO = PermanentError("no")


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with working(Bench()) as made:
        yield made


def statuses(execution: Execution) -> dict[str, str]:
    return {
        key: state.status.value + (f"/{state.reason}" if state.reason else "")
        for key, state in execution.actions.items()
    }


def a(action_id: str, *needs: str, **more: Any) -> dict[str, Any]:
    """An action of a graph, without retries."""
    return {"id": action_id, "needs": list(needs), "retry": {"retries": 0}, **more}


async def test_a_join_waits_for_all_it_needs_and_independent_actions_run_together(
    bench: Bench,
) -> None:
    """A and B; C needs both; D and E need C; F needs D and E."""
    running: set[str] = set()
    together: set[frozenset[str]] = set()

    def at_work(name: str) -> Any:
        async def act() -> None:
            running.add(name)
            together.add(frozenset(running))
            await settle()
            running.discard(name)

        return act

    for name in "ABCDEF":
        bench.script.tell(name, at_work(name))
    graph = bench.definition(
        a("A"), a("B"), a("C", "A", "B"), a("D", "C"), a("E", "C"), a("F", "D", "E")
    )
    after = await bench.after(graph)
    assert after.status is Status.COMPLETED
    assert bench.script.called == ["A", "B", "C", "D", "E", "F"]
    assert {frozenset("AB"), frozenset("DE")} <= together
    assert all(
        group <= frozenset("AB") or group <= frozenset("DE") or len(group) == 1
        for group in together
    )
    assert differences(after) == []


async def test_no_more_actions_run_together_than_the_workflow_allows(bench: Bench) -> None:
    most = 0
    running = 0

    async def act() -> None:
        nonlocal most, running
        running += 1
        most = max(most, running)
        await settle()
        running -= 1

    for name in "abcdef":
        bench.script.tell(name, act)
    after = await bench.after(bench.definition(*(a(name) for name in "abcdef"), concurrency=2))
    assert (after.status, most) == (Status.COMPLETED, 2)


@pytest.mark.parametrize(
    ("on_error", "ended", "expected"),
    [
        ("stop", "failed", {"b": "skipped/stopped", "c": "completed", "d": "completed"}),
        ("continue", "completed", {"b": "completed", "c": "completed", "d": "completed"}),
    ],
)
async def test_what_needs_a_failed_action_runs_by_its_run_if(
    bench: Bench, on_error: str, ended: str, expected: dict[str, str]
) -> None:
    bench.script.tell("a", NO)
    graph = bench.definition(
        a("a", onError=on_error),
        a("b", "a"),
        a("c", "a", runIf="failure"),
        a("d", "b", runIf="always"),
    )
    after = await bench.after(graph)
    assert after.status.value == ended
    assert statuses(after) == {"a": "failed", **expected}
    assert differences(after) == []


async def test_without_a_failure_a_failure_handler_is_skipped(bench: Bench) -> None:
    graph = bench.definition(a("a"), a("b", "a", runIf="failure"), a("c", "b"))
    after = await bench.after(graph)
    assert after.status is Status.COMPLETED
    assert statuses(after) == {"a": "completed", "b": "skipped/no-failure", "c": "completed"}


async def test_in_order_a_failure_skips_the_rest_but_its_handlers(bench: Bench) -> None:
    bench.script.tell("a", NO)
    steps = [step("a", retries=0), {"id": "b"}, {"id": "notify", "runIf": "failure"}]
    after = await bench.after(bench.definition(*steps))
    assert statuses(after) == {"a": "failed", "b": "skipped/stopped", "notify": "completed"}
    assert after.error is not None
    assert (after.status, after.error.message) == (Status.FAILED, "no")


async def test_a_branch_under_way_ends_before_the_execution_fails(bench: Bench) -> None:
    gate = asyncio.Event()
    bench.script.tell("a", NO)
    bench.script.tell("slow", gate.wait)
    running = asyncio.ensure_future(
        bench.after(bench.definition(a("a"), a("slow"), a("after", "slow")))
    )
    await settle()
    assert (await bench.stored()).status is Status.RUNNING
    gate.set()
    after = await running
    assert statuses(after) == {"a": "failed", "slow": "completed", "after": "skipped/stopped"}


@pytest.mark.parametrize(("amount", "runs"), [(5, False), (500, True)])
async def test_a_condition_decides_whether_an_action_runs(
    bench: Bench, amount: int, *, runs: bool
) -> None:
    graph = bench.definition({"id": "check", "when": "${ input.amount > 100 }"}, {"id": "last"})
    await bench.executions.add([queued(input={"amount": amount})])
    after = await bench.after(graph)
    assert after.status is Status.COMPLETED
    assert bench.script.called == (["check", "last"] if runs else ["last"])
    assert statuses(after)["check"] == ("completed" if runs else "skipped/condition")


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("${ input.nope }", "input.nope"),
        ("${ 'text' }", "must be true or false"),
    ],
)
async def test_a_condition_that_is_none_is_a_permanent_error(
    bench: Bench, condition: str, said: str
) -> None:
    await bench.executions.add([queued(input={"amount": 1})])
    after = await bench.after(bench.definition({"id": "x", "when": condition}))
    assert after.error is not None
    assert after.error.category is ErrorCategory.PERMANENT
    assert said in after.error.message


async def test_what_one_action_gives_another_takes(bench: Bench) -> None:
    bench.environment["REGION"] = "eu"
    bench.script.tell("fetch", {"items": [{"n": 1}, {"n": 2}]})
    to = {
        "sum": "${ actions.fetch.output.items.map(i, i.n) }",
        "text": "hello ${ input.name } of ${ workflow.id } in ${ env.REGION }",
        "status": "${ actions.fetch.status }",
    }
    await bench.executions.add([queued(input={"name": "Ada"})])
    after = await bench.after(bench.definition({"id": "fetch"}, {"id": "use", "to": to}))
    assert after.status is Status.COMPLETED
    assert bench.script.given[1] == {
        "sum": [1, 2],
        "text": "hello Ada of hello in eu",
        "status": "completed",
    }


async def test_an_expression_that_fails_names_itself(bench: Bench) -> None:
    after = await bench.after(bench.definition({"id": "a", "to": "${ input.x.y }"}))
    assert after.error is not None
    assert "input.x.y" in after.error.message
    assert after.error.category is ErrorCategory.PERMANENT
    assert bench.script.called == []


async def test_each_item_is_called_once_and_the_outputs_are_a_list(bench: Bench) -> None:
    bench.script.tell("each", "x", "y", "z")
    each = {
        "id": "each",
        "forEach": {"items": "${ input.list }", "concurrency": 2},
        "to": "${ string(index) + ':' + item }",
    }
    await bench.executions.add([queued(input={"list": ["a", "b", "c"]})])
    after = await bench.after(
        bench.definition(each, {"id": "end", "to": "${ actions.each.output }"})
    )
    assert after.status is Status.COMPLETED
    assert bench.script.given == ["0:a", "1:b", "2:c", ["x", "y", "z"]]
    assert [c.idempotency_key.partition(":each")[2] for c in bench.script.calls[:3]] == [
        "[0]",
        "[1]",
        "[2]",
    ]
    assert output_of(after, "each") == ["x", "y", "z"]
    assert differences(after) == []


@pytest.mark.parametrize(
    ("on_error", "status", "called", "output"),
    [
        ("stop", "failed", 2, ["one", None, None]),
        ("continue", "completed", 3, ["one", None, "three"]),
    ],
)
async def test_a_failing_item_fails_or_is_tolerated(
    bench: Bench, on_error: str, status: str, called: int, output: JsonValue
) -> None:
    bench.script.tell("each", "one", NO, "three")
    each = {"id": "each", "onError": on_error, "forEach": {"items": [1, 2, 3], "concurrency": 1}}
    after = await bench.after(bench.definition(each, {"id": "end"}))
    assert after.status.value == status
    assert bench.script.called.count("each") == called
    assert output_of(after, "each") == output
    parent = after.actions["each"]
    assert parent.error is not None
    assert parent.error.message == "each[1]: no"


@pytest.mark.parametrize("items", [[], "${ [] }"])
async def test_no_items_complete_at_once(bench: Bench, items: Any) -> None:
    after = await bench.after(bench.definition({"id": "each", "forEach": {"items": items}}))
    assert (after.status, bench.script.called) == (Status.COMPLETED, [])
    assert output_of(after, "each") == []


@pytest.mark.parametrize(
    ("items", "said"),
    [("${ 5 }", "must be a list"), (list(range(1001)), "at most 1000")],
)
async def test_what_is_no_list_of_items_is_a_permanent_error(
    bench: Bench, items: Any, said: str
) -> None:
    after = await bench.after(bench.definition({"id": "each", "forEach": {"items": items}}))
    assert after.error is not None
    assert said in after.error.message


async def test_an_item_in_backoff_does_not_hold_up_the_others(bench: Bench) -> None:
    bench.script.tell("each", ActionError("later"), "b", "a at last")
    each = {**step("each", retries=1), "forEach": {"items": [1, 2]}}
    assert (await bench.after(bench.definition(each))).status is Status.PENDING
    assert await bench.wait_for_retry() == 2 * SECOND
    after = await bench.after(bench.definition(each))
    assert output_of(after, "each") == ["a at last", "b"]


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
        a("a", compensate=[{"type": "step", "id": "undo-a", "to": "${ actions.a.output }"}]),
        a("b", "a", compensate=[{"type": "step", "id": "undo-b"}, {"type": "step"}]),
        a("c", "b", onError="compensate", compensate=[{"type": "step", "id": "undo-c"}]),
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
        a("a", compensate=[{"type": "step", "id": "undo-a"}]),
        a("b", "a", compensate=[{"type": "step", "id": "undo-b"}]),
        a("c", "b", onError="compensate"),
    )
    after = await bench.after(graph)
    assert bench.script.called == ["a", "b", "c", "undo-b", "undo-a"]
    assert after.error is not None
    assert after.error.category is ErrorCategory.COMPENSATION_FAILED
    assert "'undo-b' (cannot)" in after.error.message
    assert "no" in after.error.message


async def test_stop_leaves_what_was_done_as_it_is(bench: Bench) -> None:
    bench.script.tell("b", NO)
    graph = bench.definition(a("a", compensate=[{"type": "step", "id": "undo-a"}]), a("b", "a"))
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
    after = await bench.after(bench.definition({"id": "pay", "type": "once"}))
    assert after.actions["pay"].output == "started"
    assert after.status is Status.COMPLETED


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


async def test_transform_computes_a_value(bench: Bench) -> None:
    value = {"total": "${ input.list.map(x, x * 2) }"}
    await bench.executions.add([queued(input={"list": [1, 2]})])
    after = await bench.after(bench.definition({"type": "transform", "id": "t", "value": value}))
    assert after.actions["t"].output == {"total": [2, 4]}


async def test_a_parameter_of_another_type_may_be_an_expression(bench: Bench) -> None:
    rest = {"id": "rest", "type": "delay", "duration": "${ input.wait }"}
    await bench.executions.add([queued(input={"wait": "5m"})])
    waiting = await bench.after(bench.definition(rest))
    assert waiting.next_attempt_at == NOW + timedelta(minutes=5)


async def test_a_value_of_the_wrong_kind_is_a_permanent_error_that_names_the_field(
    bench: Bench,
) -> None:
    rest = {"id": "rest", "type": "delay", "duration": "${ input.wait }"}
    await bench.executions.add([queued(input={"wait": "soon"})])
    after = await bench.after(bench.definition(rest))
    assert after.error is not None
    assert after.error.category is ErrorCategory.PERMANENT
    assert "/duration" in after.error.message


async def test_the_events_of_a_step_are_recorded_with_it(bench: Bench) -> None:
    bench.script.tell("a", NO)
    after = await bench.after(bench.definition(a("a"), a("b", "a")))
    assert [event.type for event in after.history] == [
        EventType.QUEUED,
        EventType.CLAIMED,
        EventType.ACTION_FAILED,
        EventType.ACTION_SKIPPED,
        EventType.FAILED,
    ]
