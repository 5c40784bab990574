"""Operating executions of the running services: cancel, resolve, retry, replay, rerun."""

import asyncio
import signal
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from tests.acceptance.conftest import MakeStack
from tests.support.destination import Destination
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

ONCE = {"retries": 0}


def problem(answer: Any) -> tuple[int, str]:
    """Return the status of a refusal and what kind of problem it is."""
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


def action(execution: Json, action_id: str) -> Json:
    """Return how far an action of an execution got."""
    return next(found for found in execution["actions"] if found["id"] == action_id)


@pytest.fixture
def name(unique: str) -> str:
    """The id of a workflow that no other test has."""
    return f"operate-{unique}"


async def test_cancelling_undoes_what_was_done_and_what_may_have_been(
    stack: Stack, destination: Destination, name: str
) -> None:
    undo = [destination.to("/undo/booked", id="undo-book")]
    perhaps = [destination.to("/undo/held", id="undo-hold")]
    await stack.create(
        manual(
            name,
            destination.to("/ok", id="book", compensate=undo),
            destination.to("/hold", id="hold", compensate=perhaps),
        )
    )
    execution_id = await stack.trigger(name)

    async def held() -> list[Any]:
        return destination.called("/hold")

    await eventually(held)
    answer = await stack.request("POST", f"/executions/{execution_id}/cancel")
    assert answer.status_code == 200
    cancelling = answer.json()
    assert cancelling["status"] == "queued"
    assert cancelling["ending"] == {"status": "cancelled", "undoing": ["hold", "book"]}
    ended = await stack.ends(execution_id)
    assert ended["status"] == "cancelled"
    assert [call.path for call in destination.calls[2:]] == ["/undo/held", "/undo/booked"]
    assert destination.aborted == ["/hold"]
    assert problem(await stack.request("POST", f"/executions/{execution_id}/cancel")) == (
        409,
        "execution-finished",
    )


@pytest.mark.one_broker
async def test_deleting_a_workflow_with_cancel_undoes_what_it_did(
    stack: Stack, destination: Destination, name: str
) -> None:
    undo = [destination.to("/undo/booked", id="undo-book")]
    waits = {"id": "wait", "type": "delay", "duration": "1h"}
    await stack.create(manual(name, destination.to("/ok", id="book", compensate=undo), waits))
    execution_id = await stack.trigger(name)
    await stack.reaches(execution_id, "waiting")
    assert await stack.status(name) == "busy"
    deleted = await stack.request("DELETE", f"/workflows/{name}", params={"cancel": "true"})
    assert deleted.status_code == 204
    assert (await stack.ends(execution_id))["status"] == "cancelled"
    assert [call.path for call in destination.calls] == ["/ok", "/undo/booked"]


async def test_a_retry_goes_on_at_the_action_that_failed(
    stack: Stack, destination: Destination, name: str
) -> None:
    flaky = destination.to(f"/flaky/1/{name}", id="flaky", retry=ONCE)
    await stack.create(manual(name, destination.to("/ok", id="first"), flaky))
    execution_id = await stack.trigger(name)
    assert (await stack.ends(execution_id))["status"] == "failed"
    retried = await stack.request("POST", f"/executions/{execution_id}/retry")
    assert (retried.status_code, retried.json()["status"]) == (200, "queued")
    ended = await stack.ends(execution_id)
    assert ended["status"] == "completed"
    assert len(destination.called("/ok")) == 1
    assert events(ended).count("retried") == 1
    again = await stack.request("POST", f"/executions/{execution_id}/retry")
    assert problem(again) == (409, "conflict")
    assert "completed" in again.json()["detail"]


@pytest.mark.one_broker
async def test_of_many_retries_at_once_one_wins(
    stack: Stack, destination: Destination, name: str
) -> None:
    await stack.create(manual(name, destination.to(f"/flaky/1/{name}", id="flaky", retry=ONCE)))
    execution_id = await stack.trigger(name)
    await stack.ends(execution_id)
    path = f"/executions/{execution_id}/retry"
    answers = await asyncio.gather(*(stack.request("POST", path) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409, 409]
    ended = await stack.ends(execution_id)
    assert (ended["status"], len(destination.calls)) == ("completed", 2)


@pytest.mark.one_broker
async def test_a_workflow_that_is_held_disabled_or_gone_is_not_retried_replayed_or_rerun(
    stack: Stack, destination: Destination, name: str
) -> None:
    await stack.create(manual(name, destination.to("/status/404", id="a", retry=ONCE)))
    execution_id = await stack.trigger(name)
    await stack.ends(execution_id)
    held = manual(name, {"id": "w", "type": "delay", "duration": "1h"})
    await stack.request("PUT", f"/workflows/{name}", json=held)
    holder = await stack.trigger(name)
    commands: list[tuple[str, Json | None]] = [
        ("retry", None),
        ("replay", {"fromAction": "a"}),
        ("rerun", None),
    ]

    async def refusals() -> set[tuple[int, str]]:
        path = f"/executions/{execution_id}"
        answers = [
            await stack.request("POST", f"{path}/{verb}", json=body) for verb, body in commands
        ]
        return {problem(answer) for answer in answers}

    assert await refusals() == {(409, "workflow-busy")}
    refused = (await stack.request("POST", f"/executions/{execution_id}/retry")).json()
    assert (refused["executionId"], refused["triggerStatus"]) == (holder, "busy")
    await stack.request("POST", f"/executions/{holder}/cancel")
    await stack.request("PATCH", f"/workflows/{name}", json={"enabled": False})
    assert await refusals() == {(409, "workflow-disabled")}
    await stack.request("DELETE", f"/workflows/{name}")
    assert await refusals() == {(409, "conflict")}
    assert (await stack.execution(execution_id))["status"] == "failed"
    assert len(destination.calls) == 1


@pytest.mark.one_broker
async def test_a_replay_reuses_what_came_before_and_may_have_another_input(
    stack: Stack, destination: Destination, name: str
) -> None:
    await stack.create(manual(name, destination.to("/ok", id="a"), destination.to("/b", id="b")))
    first = await stack.trigger(name, json={"n": 1})
    await stack.ends(first)
    body = {"fromAction": "b", "input": {"n": 2}}
    answer = await stack.request("POST", f"/executions/{first}/replay", json=body)
    assert answer.status_code == 202
    second = answer.json()["executionId"]
    assert answer.headers["location"] == f"/executions/{second}"
    ended = await stack.ends(second)
    assert (ended["status"], ended["input"]) == ("completed", {"n": 2})
    assert ended["origin"] == {"kind": "replay", "executionId": first, "action": "b"}
    assert events(ended)[:2] == ["queued", "action.reused"]
    assert [len(destination.called(path)) for path in ("/ok", "/b")] == [1, 2]
    assert action(ended, "a")["output"] == action(await stack.execution(first), "a")["output"]


@pytest.mark.one_broker
async def test_a_rerun_starts_anew_once_per_key(
    stack: Stack, destination: Destination, name: str
) -> None:
    await stack.create(manual(name, destination.to("/ok", id="a")))
    first = await stack.trigger(name, json={"n": 1})
    await stack.ends(first)
    path, headers = f"/executions/{first}/rerun", {"Idempotency-Key": f"key-{name}"}
    one = await stack.request("POST", path, headers=headers)
    two = await stack.request("POST", path, headers=headers)
    assert (one.status_code, two.status_code) == (202, 202)
    assert one.json() == two.json()
    assert two.headers["idempotent-replayed"] == "true"
    ended = await stack.ends(one.json()["executionId"])
    assert (ended["input"], ended["origin"]["kind"]) == ({"n": 1}, "rerun")
    assert len(destination.calls) == 2
    other = await stack.request("POST", path, headers=headers, json={"input": 5})
    assert problem(other) == (422, "idempotency-key-reused")


BAD_BODIES: list[tuple[str, Any, str]] = [
    ("replay", None, ""),
    ("replay", [], ""),
    ("replay", {}, "/fromAction"),
    ("replay", {"fromAction": 5}, "/fromAction"),
    ("replay", {"fromAction": "a", "output": 1}, "/output"),
    ("rerun", 5, ""),
    ("rerun", {"fromAction": "a"}, "/fromAction"),
    ("actions/a/resolve", None, ""),
    ("actions/a/resolve", {"resolution": "maybe"}, "/resolution"),
    ("actions/a/resolve", {"resolution": "retry", "output": 1}, "/output"),
    ("actions/a/resolve", {"resolution": "happened", "output": 2**70}, "/output"),
]


@pytest.mark.one_broker
async def test_a_body_that_means_nothing_is_refused_where_it_is_wrong(
    stack: Stack, name: str
) -> None:
    await stack.create(manual(name, log_action(id="a")))
    execution_id = await stack.trigger(name)
    before = await stack.ends(execution_id)
    for verb, body, pointer in BAD_BODIES:
        path = f"/executions/{execution_id}/{verb}"
        answer = await stack.request("POST", path, **({} if body is None else {"json": body}))
        assert problem(answer) == (422, "invalid-input"), (verb, body)
        assert [e["pointer"] for e in answer.json()["errors"]] == [pointer], (verb, body)
    assert await stack.execution(execution_id) == before


@pytest.mark.one_broker
async def test_what_does_not_exist_is_not_found(stack: Stack, name: str) -> None:
    for method, verb, body in (
        ("POST", "retry", None),
        ("POST", "replay", {"fromAction": "a"}),
        ("POST", "rerun", {}),
        ("POST", "actions/a/resolve", {"resolution": "retry"}),
        ("GET", "history", None),
        ("GET", "why", None),
    ):
        answer = await stack.request(method, f"/executions/unknown/{verb}", json=body)
        assert problem(answer) == (404, "not-found"), verb
    await stack.create(manual(name, log_action(id="a")))
    path = f"/executions/{(await stack.ends(await stack.trigger(name)))['executionId']}"
    replay = await stack.request("POST", f"{path}/replay", json={"fromAction": "nothing"})
    assert problem(replay) == (404, "not-found")
    resolve = await stack.request(
        "POST", f"{path}/actions/a%5B0%5D/resolve", json={"resolution": "retry"}
    )
    assert problem(resolve) == (404, "not-found")
    assert "'a[0]'" in resolve.json()["detail"]


RESOLUTIONS: Final[dict[str, tuple[Json, str]]] = {
    "happened": ({"output": {"paymentId": "p-1"}}, "completed"),
    "did-not-happen": ({}, "failed"),
    "retry": ({}, "completed"),
}
"""What an operator adds to each answer, and how the execution ends then."""


@pytest.mark.one_broker
async def test_an_operator_resolves_a_call_whose_outcome_nobody_knows(
    make_stack: MakeStack, tmp_path: Path
) -> None:
    stack = await make_stack(**SHORT_LEASE)
    ids = {}
    for resolution in RESOLUTIONS:
        file = tmp_path / resolution
        paying = {"type": "pay-once", "id": "pay", "file": str(file), "retry": ONCE}
        await stack.create(manual(resolution, paying, log_action(id="after")))
        ids[resolution] = await stack.trigger(resolution)
        await eventually(partial(asyncio.to_thread, file.exists))
    stack.runner.process.signal(signal.SIGKILL)
    stack.add("runner", "second")
    for resolution, execution_id in ids.items():
        await _resolve(stack, execution_id, resolution)


async def _resolve(stack: Stack, execution_id: str, resolution: str) -> None:
    waiting = await stack.reaches(execution_id, "waiting")
    assert action(waiting, "pay")["status"] == "unknown"
    reason = (await stack.request("GET", f"/executions/{execution_id}/why")).json()
    assert (reason["status"], "operator's answer" in reason["why"]) == ("waiting", True)
    assert "'pay'" in reason["why"]
    more, end = RESOLUTIONS[resolution]
    body = {"resolution": resolution, **more}
    path = f"/executions/{execution_id}/actions/pay/resolve"
    answer = await stack.request("POST", path, json=body)
    assert (answer.status_code, answer.json()["status"]) == (200, "queued")
    ended = await stack.ends(execution_id)
    assert ended["status"] == end
    if more:
        assert action(ended, "pay")["output"] == more["output"]
    assert problem(await stack.request("POST", path, json=body)) == (409, "conflict")


@pytest.mark.one_broker
async def test_a_failure_in_backoff_is_not_yet_one_to_retry(
    stack: Stack, destination: Destination, name: str
) -> None:
    failing = destination.to("/status/500", id="a", retry=quick_retry(3, "1h"))
    await stack.create(manual(name, failing))
    execution_id = await stack.trigger(name)
    await stack.reaches(execution_id, "pending")
    answer = await stack.request("POST", f"/executions/{execution_id}/retry")
    assert problem(answer) == (409, "conflict")
    await stack.request("POST", f"/executions/{execution_id}/cancel")
