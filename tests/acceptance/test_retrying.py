"""Scenarios: Retry and backoff, Recovery, Resume point, Outcome of an HTTP action."""

import base64
from datetime import datetime
from itertools import groupby
from typing import Any

import pytest

from tests.support.destination import Destination
from tests.support.stack import Json, Stack, events, log_action, manual, quick_retry
from tests.support.waiting import eventually


async def _run(stack: Stack, definition: Json) -> Json:
    await stack.create(definition)
    return await stack.ends(await stack.trigger(definition["workflowId"]))


def _failures(execution: Json) -> list[Json]:
    return [event for event in execution["history"] if event["type"] == "action.failed"]


def _seconds(earlier: str, later: str) -> float:
    """Return how long it is from one instant of the API to another."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def _waits(execution: Json) -> list[float]:
    """Return for how many seconds each retry was put off."""
    scheduled = (e for e in execution["history"] if e["type"] == "retry.scheduled")
    return [_seconds(event["at"], event["nextAttemptAt"]) for event in scheduled]


def _lateness(execution: Json) -> list[float]:
    """Return how many seconds each retry was claimed after the instant that it was put off to."""
    claimed = (e["at"] for e in execution["history"][2:] if e["type"] == "claimed")
    scheduled = (e for e in execution["history"] if e["type"] == "retry.scheduled")
    return [_seconds(e["nextAttemptAt"], at) for e, at in zip(scheduled, claimed, strict=True)]


async def test_retry_and_backoff(stack: Stack, destination: Destination) -> None:
    """The default policy at its own pace: waits of 2, 4 and 8 s."""
    execution = await _run(stack, manual("always-500", destination.to("/status/500")))
    assert execution["status"] == "failed"
    assert len(destination.called("/status/500")) == 4
    for waited, wait in zip(_waits(execution), (2, 4, 8), strict=True):
        assert wait * 0.8 <= waited <= wait * 1.2
    late = _lateness(execution)
    assert all(seconds >= 0 for seconds in late), late
    assert min(late) < 1, late
    assert [event["attempt"] for event in _failures(execution)] == [1, 2, 3, 4]
    assert execution["retriesLeft"] == 0
    assert execution["error"]["category"] == "recoverable"
    assert "HTTP 500" in execution["error"]["message"]
    assert events(execution)[-2:] == ["action.failed", "failed"]
    assert len({call.headers["idempotency-key"] for call in destination.calls}) == 1


@pytest.mark.one_broker
async def test_retry_and_backoff_counts_down(stack: Stack, destination: Destination) -> None:
    definition = manual("counts-down", destination.to("/status/503"), retry=quick_retry(3, "300ms"))
    execution = await _run(stack, definition)
    path = f"/executions/{execution['executionId']}/history"
    seen: list[int] = []
    for event in execution["history"]:
        shown = await stack.request("GET", path, params={"at": event["seq"]})
        seen.append(shown.json()["state"]["retriesLeft"])
    assert [left for left, _ in groupby(seen)] == [3, 2, 1, 0]


@pytest.mark.one_broker
async def test_retry_policy_of_an_action_overrides_that_of_the_workflow(
    stack: Stack, destination: Destination
) -> None:
    once = destination.to("/status/500", retry=quick_retry(1))
    execution = await _run(stack, manual("own-policy", once, retry=quick_retry(5)))
    assert execution["status"] == "failed"
    assert len(destination.calls) == 2


async def test_recovery(stack: Stack, destination: Destination) -> None:
    execution = await _run(
        stack, manual("recovers", destination.to("/flaky/2"), retry=quick_retry())
    )
    assert execution["status"] == "completed"
    assert await stack.status("recovers") == "idle"
    assert execution["attempt"] == 3
    assert len(destination.calls) == 3
    assert "error" not in execution
    assert len(await stack.executions(workflowId="recovers")) == 1


@pytest.mark.one_broker
async def test_resume_point(stack: Stack, destination: Destination) -> None:
    flaky = destination.to("/flaky/1", id="B")
    actions = (log_action("a", id="A"), flaky, log_action("c", id="C"))
    execution = await _run(stack, manual("resumes", *actions, retry=quick_retry()))
    assert execution["status"] == "completed"
    done = [e["action"] for e in execution["history"] if e["type"] == "action.completed"]
    assert done == ["A", "B", "C"]
    assert len(destination.calls) == 2

    async def ran() -> list[str]:
        lines = stack.runner.logged("action.log", executionId=execution["executionId"])
        return [line["action"] for line in lines]

    assert await eventually(ran, lambda actions: len(actions) >= 2) == ["A", "C"]


@pytest.mark.one_broker
@pytest.mark.parametrize("status", [200, 204, 299])
async def test_outcome_of_an_http_action_below_400(
    stack: Stack, destination: Destination, status: int
) -> None:
    execution = await _run(stack, manual(f"below-{status}", destination.to(f"/status/{status}")))
    assert execution["status"] == "completed"
    output = execution["actions"][0]["output"]
    assert output["status"] == status
    assert output["durationMs"] >= 0
    assert output["bodyTruncated"] is False


@pytest.mark.one_broker
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_outcome_of_an_http_action_that_may_pass(
    stack: Stack, destination: Destination, status: int
) -> None:
    action = destination.to(f"/status/{status}")
    execution = await _run(stack, manual(f"passing-{status}", action, retry=quick_retry(1)))
    assert execution["status"] == "failed"
    assert execution["error"]["category"] == "recoverable"
    assert len(destination.calls) == 2


@pytest.mark.one_broker
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
async def test_outcome_of_an_http_action_that_is_permanent(
    stack: Stack, destination: Destination, status: int
) -> None:
    action = destination.to(f"/status/{status}")
    execution = await _run(stack, manual(f"permanent-{status}", action, retry=quick_retry(3)))
    assert execution["status"] == "failed"
    assert execution["error"]["category"] == "permanent"
    assert f"HTTP {status}" in execution["error"]["message"]
    assert len(destination.calls) == 1


@pytest.mark.one_broker
async def test_outcome_of_an_http_action_honours_retry_after(
    stack: Stack, destination: Destination
) -> None:
    action = destination.to("/status/429", query={"after": "2"})
    execution = await _run(stack, manual("retry-after", action, retry=quick_retry(1)))
    assert len(destination.calls) == 2
    assert _waits(execution) == [2]
    assert _lateness(execution)[0] >= 0


@pytest.mark.one_broker
async def test_outcome_of_an_http_action_without_a_server(stack: Stack) -> None:
    action = {"type": "http-request", "url": "http://127.0.0.1:9/"}
    execution = await _run(stack, manual("no-server", action, retry=quick_retry(1)))
    assert execution["status"] == "failed"
    assert execution["error"]["category"] == "recoverable"
    assert len(_failures(execution)) == 2


@pytest.mark.one_broker
@pytest.mark.parametrize(
    "timeouts", [{"total": "300ms"}, {"read": "300ms", "total": "60s"}], ids=["total", "read"]
)
async def test_outcome_of_an_http_action_that_takes_too_long(
    stack: Stack, destination: Destination, timeouts: Json
) -> None:
    action = destination.to("/hold", timeouts=timeouts)
    name = "too-long-" + "-".join(timeouts)
    execution = await _run(stack, manual(name, action, retry=quick_retry(0)))
    assert execution["status"] == "failed"
    assert execution["error"]["category"] == "recoverable"
    (failure,) = _failures(execution)
    # No other limit is as short as this: without one, the call lasts 60 s in the second case.
    assert 0.2 < _seconds(failure["startedAt"], failure["at"]) < 20


@pytest.mark.one_broker
async def test_outcome_of_an_http_action_with_redirects(
    stack: Stack, destination: Destination
) -> None:
    there = destination.to("/redirect", query={"to": "/ok"})
    followed = await _run(stack, manual("redirected", there))
    assert followed["actions"][0]["output"]["status"] == 200
    stay = await _run(stack, manual("not-followed", {**there, "followRedirects": 0}))
    assert stay["actions"][0]["output"]["status"] == 302
    loop = await _run(stack, manual("loops", destination.to("/loop")))
    assert (loop["status"], loop["error"]["category"]) == ("failed", "permanent")
    assert "more than 5 redirects" in loop["error"]["message"]


@pytest.mark.one_broker
async def test_outcome_of_an_http_action_is_capped(stack: Stack, destination: Destination) -> None:
    execution = await _run(stack, manual("capped", destination.to(f"/big/{4 * 2**20}")))
    output = execution["actions"][0]["output"]
    assert output["bodyTruncated"] is True
    assert len(output["body"]) == 4096


SENT: list[tuple[str, Json, str, bytes, str | None]] = [
    (
        "json",
        {"method": "POST", "body": {"a": [1, None]}},
        "POST",
        b'{"a":[1,null]}',
        "application/json",
    ),
    ("text", {"method": "PUT", "body": "plain"}, "PUT", b"plain", "text/plain; charset=utf-8"),
    ("nothing", {"method": "DELETE"}, "DELETE", b"", None),
]


@pytest.mark.one_broker
@pytest.mark.parametrize(
    ("name", "options", "method", "body", "content_type"), SENT, ids=[case[0] for case in SENT]
)
async def test_outcome_of_an_http_action_sends_what_was_defined(
    stack: Stack,
    destination: Destination,
    name: str,
    options: Json,
    method: str,
    body: bytes,
    content_type: str | None,
) -> None:
    query: dict[str, Any] = {"page": 2, "q": "a b&c"}
    action = destination.to("/sent?x=1", headers={"X-Mine": "yes"}, query=query, **options)
    execution = await _run(stack, manual(f"sends-{name}", action))
    (call,) = destination.calls
    assert (call.method, call.body) == (method, body)
    assert call.query == {"x": "1", "page": "2", "q": "a b&c"}
    assert call.headers["x-mine"] == "yes"
    assert call.headers["idempotency-key"] == f"{execution['executionId']}:http-request-1"
    assert call.headers.get("content-type") == content_type


@pytest.mark.one_broker
async def test_outcome_of_an_http_action_whose_redirected_get_has_no_body(
    stack: Stack, destination: Destination
) -> None:
    target = destination.to("/ok")["url"]
    execution = await _run(stack, manual("plain-get", destination.to(f"/redirect?to={target}")))
    assert execution["status"] == "completed"
    for call in destination.calls:
        assert not {"transfer-encoding", "content-length", "content-type"} & call.headers.keys()


@pytest.mark.one_broker
async def test_outcome_of_an_http_action_with_credentials_in_its_url(
    stack: Stack, destination: Destination
) -> None:
    url = destination.to("/ok")["url"].replace("://", "://me:p%40ss@")
    action = {"type": "http-request", "url": url}
    execution = await _run(stack, manual("with-credentials", action))
    assert execution["status"] == "completed"
    (call,) = destination.calls
    assert call.headers["authorization"] == "Basic " + base64.b64encode(b"me:p@ss").decode()
