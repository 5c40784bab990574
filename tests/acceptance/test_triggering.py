"""Scenarios: Manual, Busy and pending, Log action."""

import asyncio

import pytest

from tests.support.destination import Destination
from tests.support.stack import Stack, events, log_action, manual, periodic, quick_retry
from tests.support.waiting import eventually


async def test_manual(stack: Stack) -> None:
    await stack.create(manual("hello", log_action("Hello, world")))
    response = await stack.request("POST", "/workflows/hello/trigger", json={"name": "you"})
    assert response.status_code == 202
    accepted = response.json()
    assert accepted["status"] == "queued"
    execution_id = accepted["executionId"]
    assert response.headers["location"] == f"/executions/{execution_id}"
    execution = await stack.ends(execution_id)
    assert execution["status"] == "completed"
    assert execution["input"] == {"name": "you"}
    assert events(execution) == ["queued", "claimed", "action.completed", "completed"]
    done = execution["history"][2]
    assert done["output"]["message"] == "Hello, world"
    lines = await eventually(_logged(stack, execution_id))
    assert lines[0]["message"] == "Hello, world"


def _logged(stack: Stack, execution_id: str):  # type: ignore[no-untyped-def]
    async def read() -> list[dict[str, object]]:
        return stack.runner.logged("action.log", executionId=execution_id)

    return read


@pytest.mark.one_broker
async def test_manual_with_an_idempotency_key(stack: Stack) -> None:
    await stack.create(manual("idempotent"))
    headers = {"Idempotency-Key": "k"}
    path = "/workflows/idempotent/trigger"
    first = await stack.request("POST", path, headers=headers, json={"n": 1})
    await stack.ends(first.json()["executionId"])
    again = await stack.request("POST", path, headers=headers, json={"n": 1})
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["location"] == first.headers["location"]
    assert len(await stack.executions(workflowId="idempotent")) == 1
    other = await stack.request("POST", path, headers=headers, json={"n": 2})
    assert other.status_code == 422
    assert len(await stack.executions(workflowId="idempotent")) == 1


async def test_manual_replays_at_once_make_one_execution(stack: Stack) -> None:
    await stack.create(manual("replayed"))
    answers = await asyncio.gather(
        *(
            stack.request("POST", "/workflows/replayed/trigger", headers={"Idempotency-Key": "x"})
            for _ in range(20)
        )
    )
    assert {(a.status_code, a.json()["executionId"]) for a in answers} == {
        (202, answers[0].json()["executionId"])
    }
    assert len(await stack.executions(workflowId="replayed")) == 1


@pytest.mark.one_broker
async def test_manual_of_an_unknown_workflow(stack: Stack) -> None:
    response = await stack.request("POST", "/workflows/unknown/trigger")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.one_broker
async def test_manual_refuses_input_that_cannot_be_kept(stack: Stack) -> None:
    await stack.create(manual("odd-input"))
    for body, pointer in {'{"a": [1, 1180591620717411303424]}': "/a/1", '"\\ud800"': ""}.items():
        headers = {"content-type": "application/json"}
        path = "/workflows/odd-input/trigger"
        response = await stack.request("POST", path, content=body, headers=headers)
        assert response.status_code == 422
        assert response.json()["errors"][0]["pointer"] == pointer
    assert await stack.executions(workflowId="odd-input") == []


@pytest.mark.one_broker
async def test_manual_trigger_of_a_periodic_workflow_holds_it(
    stack: Stack, destination: Destination
) -> None:
    await stack.create(periodic("held", "1h", destination.to("/hold")))
    by_hand = await stack.trigger("held")
    often = periodic("held", "1s", destination.to("/hold"))
    assert (await stack.request("PUT", "/workflows/held", json=often)).status_code == 200

    async def overlapping() -> list[dict[str, object]]:
        return await stack.executions(workflowId="held", status="skipped")

    skipped = await eventually(overlapping)
    assert skipped[0]["skipped"]["reason"] == "overlap"  # type: ignore[index]
    destination.held.set()
    ended = await stack.ends(by_hand)
    assert (ended["status"], ended["trigger"]) == ("completed", "manual")
    await stack.request("DELETE", "/workflows/held")


async def test_busy_and_pending(stack: Stack, destination: Destination) -> None:
    actions = (destination.to("/hold"), destination.to("/flaky/1"))
    await stack.create(manual("bap", *actions, retry=quick_retry(2, initial="1h")))
    execution_id = await stack.trigger("bap")
    await stack.reaches(execution_id, "running")
    assert await stack.status("bap") == "busy"
    busy = await stack.request("POST", "/workflows/bap/trigger")
    assert busy.status_code == 409
    problem = busy.json()
    assert problem["triggerStatus"] == "busy"
    assert problem["executionId"] == execution_id
    assert problem["nextAttemptAt"] is None
    assert problem["retriesLeft"] == 2

    destination.held.set()
    await stack.reaches(execution_id, "pending")
    assert await stack.status("bap") == "pending"
    pending = (await stack.request("POST", "/workflows/bap/trigger")).json()
    assert pending["triggerStatus"] == "pending"
    execution = await stack.execution(execution_id)
    assert pending["nextAttemptAt"] == execution["nextAttemptAt"]
    assert pending["retriesLeft"] == execution["retriesLeft"] == 1

    await stack.request("POST", f"/executions/{execution_id}/cancel")
    assert await stack.status("bap") == "idle"
    again = await stack.ends(await stack.trigger("bap"))
    assert again["status"] == "completed"


@pytest.mark.one_broker
async def test_busy_lets_exactly_one_of_fifty_triggers_through(
    stack: Stack, destination: Destination
) -> None:
    await stack.create(manual("fifty", destination.to("/hold"), retry=quick_retry()))
    answers = await asyncio.gather(
        *(stack.request("POST", "/workflows/fifty/trigger") for _ in range(50))
    )
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [202] + [409] * 49
    (accepted,) = [a.json()["executionId"] for a in answers if a.status_code == 202]
    refused = [a.json() for a in answers if a.status_code == 409]
    assert {problem["executionId"] for problem in refused} == {accepted}
    assert {problem["retriesLeft"] for problem in refused} == {3}
    destination.held.set()
    await stack.ends(accepted)


@pytest.mark.one_broker
async def test_log_action(stack: Stack) -> None:
    levels = ["info", "warning", "error"]
    actions = [log_action(f"at {level}", level=level, id=level) for level in levels]
    await stack.create(manual("levels", *actions))
    execution_id = await stack.trigger("levels")
    await stack.ends(execution_id)
    lines = await eventually(_logged(stack, execution_id), lambda found: len(found) == len(levels))
    assert [(line["level"], line["message"], line["action"]) for line in lines] == [
        (level, f"at {level}", level) for level in levels
    ]
    assert {line["workflowId"] for line in lines} == {"levels"}
