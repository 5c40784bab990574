"""Running with data: expressions, conditions on them, and the items of a list."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import JsonValue

from shared.domain.execution import (
    ErrorCategory,
    Status,
)
from shared.domain.fold import differences
from shared.domain.items import output_of
from shared.ports.actions import ActionError
from tests.support.builders import NOW, SECOND, queued
from tests.unit.bench import NO, Bench, step, working


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with working(Bench()) as made:
        yield made


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
