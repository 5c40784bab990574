"""Running a graph: what waits for what, what is skipped, and why."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from pydantic import JsonValue

from shared.adapters.memory.clock import settle
from shared.domain.execution import (
    ErrorCategory,
    EventType,
    Status,
)
from shared.domain.fold import differences
from shared.ports.executions import Change, RecordOutcome
from tests.support.builders import queued
from tests.unit.bench import NO, Bench, node, statuses, step, working


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with working(Bench()) as made:
        yield made


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
        node("A"),
        node("B"),
        node("C", "A", "B"),
        node("D", "C"),
        node("E", "C"),
        node("F", "D", "E"),
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
    after = await bench.after(bench.definition(*(node(name) for name in "abcdef"), concurrency=2))
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
        node("a", onError=on_error),
        node("b", "a"),
        node("c", "a", runIf="failure"),
        node("d", "b", runIf="always"),
    )
    after = await bench.after(graph)
    assert after.status.value == ended
    assert statuses(after) == {"a": "failed", **expected}
    assert differences(after) == []


async def test_without_a_failure_a_failure_handler_is_skipped(bench: Bench) -> None:
    graph = bench.definition(node("a"), node("b", "a", runIf="failure"), node("c", "b"))
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
        bench.after(bench.definition(node("a"), node("slow"), node("after", "slow")))
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


async def test_the_events_of_a_step_are_recorded_with_it(bench: Bench) -> None:
    bench.script.tell("a", NO)
    after = await bench.after(bench.definition(node("a"), node("b", "a")))
    assert [event.type for event in after.history] == [
        EventType.QUEUED,
        EventType.CLAIMED,
        EventType.ACTION_FAILED,
        EventType.ACTION_SKIPPED,
        EventType.FAILED,
    ]


@pytest.fixture
def writes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many changes each write to the storage had."""
    counted: list[int] = []
    record = bench.executions.record

    async def count(changes: Sequence[Change]) -> list[RecordOutcome]:
        counted.append(len(changes))
        return await record(changes)

    monkeypatch.setattr(bench.executions, "record", count)
    return counted


def pure(action_id: str, value: JsonValue = None) -> dict[str, Any]:
    return {"type": "transform", "id": action_id, "value": value}


async def test_pure_actions_in_a_row_are_recorded_together(bench: Bench, writes: list[int]) -> None:
    actions = [pure("a", 1), pure("b", "${ actions.a.output + 1 }"), pure("c")]
    after = await bench.after(bench.definition(*actions))
    assert after.status is Status.COMPLETED
    assert after.actions["b"].output == 2
    assert writes == [1]
    assert [event.action for event in after.history[2:5]] == ["a", "b", "c"]
    assert differences(after) == []


async def test_before_a_call_with_an_effect_all_that_was_done_is_on_record(
    bench: Bench, writes: list[int]
) -> None:
    async def look() -> JsonValue:
        return list((await bench.stored()).actions)

    bench.script.tell("c", look)
    after = await bench.after(bench.definition(pure("a"), pure("b"), {"id": "c"}, pure("d")))
    assert after.actions["c"].output == ["a", "b"]
    assert writes == [1, 1, 1]


async def test_many_pure_actions_are_recorded_from_time_to_time(
    bench: Bench, writes: list[int]
) -> None:
    after = await bench.after(bench.definition(*(pure(f"p{n}") for n in range(100))))
    assert after.status is Status.COMPLETED
    assert writes == [1, 1]


async def test_a_pure_action_that_fails_is_recorded_with_those_before_it(
    bench: Bench, writes: list[int]
) -> None:
    after = await bench.after(bench.definition(pure("a"), pure("b", "${ input.x.y }"), pure("c")))
    assert after.status is Status.FAILED
    assert statuses(after) == {"a": "completed", "b": "failed", "c": "skipped/stopped"}
    assert writes == [1]
    assert differences(after) == []
