"""Graphs of actions on the running services: order, sagas, items, delays, repeated messages."""

import asyncio
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest

from tests.acceptance.conftest import MakeStack
from tests.support.destination import Destination
from tests.support.repeating import deliver_again
from tests.support.stack import (
    SHORT_LEASE,
    Json,
    Stack,
    events,
    log_action,
    manual,
    quick_retry,
)
from tests.support.waiting import eventually

NO_RETRIES = {"retries": 0}


async def _run(stack: Stack, definition: Json, **options: Any) -> Json:
    await stack.create(definition)
    return await stack.ends(await stack.trigger(definition["workflowId"], **options))


def _milliseconds(execution: Json) -> float:
    started, ended = (
        datetime.fromisoformat(execution[name]) for name in ("startedAt", "finishedAt")
    )
    return (ended - started).total_seconds() * 1000


@pytest.mark.one_broker
async def test_actions_that_do_not_need_each_other_run_at_the_same_time(
    stack: Stack, destination: Destination, unique: str
) -> None:
    """A, B; C needs both; D, E need C; F needs D, E. Of 100 ms each, they take less than 550 ms.

    One after the other they would take 6 times as long as one, side by side 4 times and what the
    platform adds, which on a slow machine does not matter beside calls that take longer.
    """
    took = []
    for number, seconds in enumerate((0.1, 0.1, 0.1, 0.5, 2.5)):
        definition = manual(f"diamond-{number}-{unique}", *_diamond(destination, seconds))
        destination.calls.clear()
        execution = await _run(stack, definition)
        assert execution["status"] == "completed"
        order = [next(iter(called.query)) for called in destination.calls]
        assert (set(order[:2]), order[2], set(order[3:5]), order[5]) == (
            {"A", "B"},
            "C",
            {"D", "E"},
            "F",
        )
        took.append(_milliseconds(execution) / seconds)
        if took[-1] < 550 / 0.1:
            return
    pytest.fail(f"they waited for each other: {took}")


def _diamond(destination: Destination, seconds: float) -> list[Json]:
    def call(name: str, *needs: str) -> Json:
        return destination.to(f"/slow/{seconds}?{name}", id=name, needs=list(needs))

    return [
        call("A"),
        call("B"),
        call("C", "A", "B"),
        call("D", "C"),
        call("E", "C"),
        call("F", "D", "E"),
    ]


async def test_outputs_flow_into_parameters_conditions_and_items(
    stack: Stack, destination: Destination, unique: str
) -> None:
    definition = manual(
        f"flow-{unique}",
        {"type": "transform", "id": "pick", "value": "${ input.list.filter(n, n > 1) }"},
        destination.to(
            "/ok",
            id="each",
            forEach={"items": "${ actions.pick.output }", "concurrency": 2},
            query={"n": "${ item }", "at": "${ index }"},
        ),
        log_action("never", id="never", when="${ actions.pick.output.size() > 5 }"),
        log_action("${ actions.each.output.size() } calls for ${ workflow.id }", id="end"),
    )
    execution = await _run(stack, definition, json={"list": [1, 2, 3]})
    assert execution["status"] == "completed", execution["error"]
    assert sorted(call.query["n"] for call in destination.calls) == ["2", "3"]
    states = {action["id"]: action for action in execution["actions"]}
    assert states["never"]["status"] == "skipped"
    assert states["end"]["output"]["message"] == f"2 calls for flow-{unique}"


@pytest.mark.one_broker
@pytest.mark.parametrize(
    ("action", "pointer", "said"),
    [
        (log_action("${ input. }"), "/actions/0/message", "input."),
        (log_action("${ nothing.x }"), "/actions/0/message", "nothing"),
        (log_action("${ actions.later.output }"), "/actions/0/message", "later"),
        (log_action("${ env.HOME }"), "/actions/0/message", "EXPRESSION_ENV"),
        (log_action(needs=["gone"]), "/actions", "gone"),
        (log_action(id="a", needs=["a"]), "/actions", "circle"),
        (log_action(when="yes"), "/actions/0/when", "match"),
        (log_action(when="${ true } ${ true }"), "/actions/0/when", "one expression"),
        (log_action(forEach={"items": "x"}), "/actions/0/forEach/items", ""),
        (log_action(onError="explode"), "/actions/0/onError", "stop"),
        (log_action(timeout="0s"), "/actions/0/timeout", "longer"),
        (log_action(compensate=[log_action(needs=[])]), "/actions/0/compensate", "plain"),
        ({"type": "delay"}, "/actions/0", "duration"),
    ],
)
async def test_a_graph_that_cannot_work_is_refused_with_the_place(
    stack: Stack, unique: str, action: Json, pointer: str, said: str
) -> None:
    response = await stack.request("POST", "/workflows", json=manual(f"bad-{unique}", action))
    assert response.status_code in {400, 422}, response.text
    problems = response.json()["errors"]
    assert any(p["pointer"].startswith(pointer) and said in p["detail"] for p in problems), problems
    assert (await stack.request("GET", f"/workflows/bad-{unique}")).status_code == 404


async def test_three_deliveries_to_two_runners_are_one_call_per_attempt(
    make_stack: MakeStack, destination: Destination
) -> None:
    stack = await make_stack("none")
    stack.add("workflows")
    stack.add("scheduler")
    for number in range(2):
        stack.add("runner", f"runner-{number}")
    await stack.ready()
    repeating = asyncio.create_task(deliver_again(stack, more=2))
    names = [f"thrice-{number}" for number in range(20)]
    for name in names:
        flaky = destination.to(f"/flaky/1/{name}", id="flaky", retry=quick_retry())
        await stack.create(manual(name, destination.to(f"/ok/{name}", id="once"), flaky))
    ids = [await stack.trigger(name) for name in names]
    ended = [await stack.ends(execution_id) for execution_id in ids]
    repeating.cancel()
    with suppress(asyncio.CancelledError):
        await repeating
    assert {execution["status"] for execution in ended} == {"completed"}
    for name in names:
        assert len(destination.called(f"/ok/{name}")) == 1
        assert len(destination.called(f"/flaky/1/{name}")) == 2


@pytest.mark.one_broker
async def test_a_saga_whose_runner_is_killed_undoes_everything_once(
    make_stack: MakeStack, destination: Destination
) -> None:
    stack = await make_stack(**SHORT_LEASE)

    def undo(path: str) -> list[Json]:
        return [destination.to(path)]

    definition = manual(
        "saga",
        destination.to("/ok/a", id="a", compensate=undo("/ok/undo-a")),
        destination.to("/ok/b", id="b", compensate=undo("/hold/undo-b")),
        destination.to("/status/400", id="c", onError="compensate"),
    )
    await stack.create(definition)
    execution_id = await stack.trigger("saga")

    async def undoing() -> int:
        return len(destination.called("/hold/undo-b"))

    await eventually(undoing)
    await asyncio.to_thread(stack.runner.process.kill)
    stack.runner.start()
    await eventually(undoing, lambda calls: calls >= 2)
    destination.held.set()
    execution = await stack.ends(execution_id)
    assert execution["status"] == "failed"
    assert events(execution).count("compensation.started") == 1
    assert len(destination.called("/ok/undo-a")) == 1
    keys = {call.headers["idempotency-key"] for call in destination.called("/hold/undo-b")}
    assert len(keys) == 1
    assert [len(destination.called(f"/ok/{name}")) for name in "ab"] == [1, 1]


async def test_a_delayed_execution_survives_its_runner(make_stack: MakeStack) -> None:
    stack = await make_stack()
    await stack.create(manual("later", {"type": "delay", "duration": "6s"}, log_action()))
    execution_id = await stack.trigger("later")
    waiting = await stack.reaches(execution_id, "waiting")
    assert "runner" not in waiting
    await asyncio.to_thread(stack.runner.process.kill)
    stack.runner.start()
    execution = await stack.ends(execution_id)
    assert execution["status"] == "completed"
    assert _milliseconds(execution) >= 6000
