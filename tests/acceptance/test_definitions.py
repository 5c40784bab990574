"""Scenarios: Create, Refusals, Read-change-remove, Units."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.support.destination import Destination
from tests.support.stack import Stack, log_action, manual, periodic

pytestmark = pytest.mark.one_broker


RECURRENT = {
    "workflowId": "recurrent-workflow",
    "trigger": {"type": "periodic", "interval": "10s"},
    "actions": [{"type": "http-request", "url": "https://example.com", "method": "GET"}],
}


async def test_create(stack: Stack) -> None:
    response = await stack.request("POST", "/workflows", json=RECURRENT)
    assert response.status_code == 201
    assert response.headers["location"] == "/workflows/recurrent-workflow"
    body = response.json()
    assert body["workflowId"] == "recurrent-workflow"
    assert body["version"] == 1
    assert body["trigger"]["type"] == "periodic"
    assert body["trigger"]["interval"] == "10s"
    assert body["trigger"]["status"] == "idle"
    created = datetime.fromisoformat(body["createdAt"])
    assert datetime.fromisoformat(body["trigger"]["nextRunAt"]) == created + timedelta(seconds=10)
    action = body["actions"][0]
    assert (action["type"], action["method"], action["url"]) == (
        "http-request",
        "GET",
        "https://example.com",
    )
    assert body["retry"]["retries"] == 3
    await stack.request("DELETE", "/workflows/recurrent-workflow")


def _without(field: str) -> dict[str, Any]:
    return {key: value for key, value in RECURRENT.items() if key != field}


def _with(**changes: Any) -> dict[str, Any]:
    return {**RECURRENT, "workflowId": "refused", **changes}


def _every(interval: Any) -> dict[str, Any]:
    return _with(trigger={"type": "periodic", "interval": interval})


def _acting(**action: Any) -> dict[str, Any]:
    return _with(actions=[action])


REFUSALS: list[tuple[str, Any, str]] = [
    ("no workflowId", _without("workflowId"), "/workflowId"),
    ("workflowId with a blank", _with(workflowId="a b"), "/workflowId"),
    ("workflowId with a slash", _with(workflowId="a/b"), "/workflowId"),
    ("empty workflowId", _with(workflowId=""), "/workflowId"),
    ("workflowId too long", _with(workflowId="a" * 129), "/workflowId"),
    ("workflowId no string", _with(workflowId=7), "/workflowId"),
    ("no trigger", {**_without("trigger"), "workflowId": "refused"}, "/trigger"),
    ("unknown trigger type", _with(trigger={"type": "lunar"}), "/trigger/type"),
    ("trigger without type", _with(trigger={}), "/trigger/type"),
    ("periodic without interval", _with(trigger={"type": "periodic"}), "/trigger/interval"),
    ("interval 10x", _every("10x"), "/trigger/interval"),
    ("interval 0s", _every("0s"), "/trigger/interval"),
    ("interval with a blank", _every(" 10s"), "/trigger/interval"),
    ("interval -5m", _every("-5m"), "/trigger/interval"),
    ("interval above 365 days", _every("8761h"), "/trigger/interval"),
    ("interval as a number", _every(10), "/trigger/interval"),
    (
        "manual with interval",
        _with(trigger={"type": "manual", "interval": "1s"}),
        "/trigger/interval",
    ),
    ("no actions", _with(actions=[]), "/actions"),
    ("actions missing", {**_without("actions"), "workflowId": "refused"}, "/actions"),
    ("actions no list", _with(actions={"type": "log"}), "/actions"),
    ("unknown action type", _acting(type="teleport"), "/actions/0/type"),
    ("url of another scheme", _acting(type="http-request", url="ftp://x/y"), "/actions/0/url"),
    ("url without a host", _acting(type="http-request", url="http://"), "/actions/0/url"),
    (
        "unknown method",
        _acting(type="http-request", url="http://x", method="BREW"),
        "/actions/0/method",
    ),
    ("log without message", _acting(type="log"), "/actions/0/message"),
    (
        "unknown field of an action",
        _acting(type="log", message="x", colour="red"),
        "/actions/0/colour",
    ),
    ("unknown field at the top", _with(colour="red"), "/colour"),
    ("unknown field of the trigger", _with(trigger={"type": "manual", "x": 1}), "/trigger/x"),
    ("negative retries", _with(retry={"retries": -1}), "/retry/retries"),
    (
        "an action's retries as text",
        _acting(type="log", message="x", retry={"retries": "3"}),
        "/actions/0/retry/retries",
    ),
    (
        "an integer beyond 64 bits",
        _acting(type="http-request", url="http://x", body=2**70),
        "/actions/0/body",
    ),
    ("two actions of one id", _with(actions=[log_action(id="a"), log_action(id="a")]), "/actions"),
]


@pytest.mark.parametrize(
    ("document", "pointer"), [case[1:] for case in REFUSALS], ids=[case[0] for case in REFUSALS]
)
async def test_refusals(stack: Stack, document: Any, pointer: str) -> None:
    before = (await stack.request("GET", "/workflows/refused")).status_code
    response = await stack.request("POST", "/workflows", json=document)
    assert 400 <= response.status_code < 500
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == response.status_code
    assert pointer in {error["pointer"] for error in problem["errors"]}
    assert all(error["detail"] for error in problem["errors"])
    after = (await stack.request("GET", "/workflows/refused")).status_code
    assert before == after == 404


async def test_refusals_of_bodies_that_are_no_definition(stack: Stack) -> None:
    large = '{"workflowId": "' + "x" * 2**20 + '"}'
    cases = {
        413: {"content": large, "headers": {"content-type": "application/json"}},
        400: {"content": '{"workflowId": ', "headers": {"content-type": "application/json"}},
        415: {"content": '{"workflowId": "x"}', "headers": {"content-type": "text/plain"}},
        422: {"content": "[]", "headers": {"content-type": "application/json"}},
    }
    for status, options in cases.items():
        response = await stack.request("POST", "/workflows", **options)
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["detail"]


async def test_refusals_of_an_id_that_is_taken(stack: Stack) -> None:
    await stack.create(manual("taken"))
    again = await stack.request("POST", "/workflows", json=manual("taken"))
    assert again.status_code == 200
    assert again.json()["version"] == 1
    other = await stack.request("POST", "/workflows", json=manual("taken", log_action("other")))
    assert other.status_code == 409
    shown = (await stack.request("GET", "/workflows/taken")).json()
    assert (shown["version"], shown["actions"][0]["message"]) == (1, "hi")


async def test_read_change_remove(stack: Stack) -> None:
    await stack.create(manual("rcr"))
    etag = (await stack.request("GET", "/workflows/rcr")).headers["etag"]
    second = manual("rcr", log_action("second"))
    replaced = await stack.request("PUT", "/workflows/rcr", json=second, headers={"If-Match": etag})
    assert (replaced.status_code, replaced.json()["version"]) == (200, 2)
    stale = await stack.request(
        "PUT", "/workflows/rcr", json=manual("rcr"), headers={"If-Match": etag}
    )
    assert stale.status_code == 412
    other_id = await stack.request("PUT", "/workflows/rcr", json=manual("other"))
    assert (other_id.status_code, other_id.json()["errors"][0]["pointer"]) == (422, "/workflowId")

    off = await stack.request("PATCH", "/workflows/rcr", json={"enabled": False})
    assert (off.status_code, off.json()["enabled"]) == (200, False)
    refused = await stack.request("POST", "/workflows/rcr/trigger")
    assert refused.status_code == 409
    bad = await stack.request("PATCH", "/workflows/rcr", json={"enabled": "yes"})
    assert (bad.status_code, bad.json()["errors"][0]["pointer"]) == (422, "/enabled")
    await stack.request("PATCH", "/workflows/rcr", json={"enabled": True})
    execution = await stack.ends(await stack.trigger("rcr"))
    assert execution["version"] == 2

    assert (await stack.request("DELETE", "/workflows/rcr")).status_code == 204
    for method, path in {
        "GET": "/workflows/rcr",
        "DELETE": "/workflows/rcr",
        "POST": "/workflows/rcr/trigger",
    }.items():
        assert (await stack.request(method, path)).status_code == 404
    assert (await stack.request("PUT", "/workflows/rcr", json=second)).status_code == 404
    history = await stack.executions(workflowId="rcr")
    assert [e["executionId"] for e in history] == [execution["executionId"]]
    assert (await stack.create(manual("rcr")))["version"] == 3


async def test_read_change_remove_lists_by_trigger_and_status(
    stack: Stack, destination: Destination
) -> None:
    await stack.create(periodic("list-a", "1h"))
    await stack.create(manual("list-b", destination.to("/hold")))
    await stack.create(manual("list-c"))
    await stack.trigger("list-b")

    async def ids(**params: Any) -> list[str]:
        found: list[str] = []
        while True:
            page = (await stack.request("GET", "/workflows", params=params)).json()
            found += [w["workflowId"] for w in page["items"]]
            if "nextCursor" not in page:
                return [i for i in found if i.startswith("list-")]
            params["cursor"] = page["nextCursor"]

    assert await ids(limit=1) == ["list-a", "list-b", "list-c"]
    assert await ids(triggerType="periodic", limit=2) == ["list-a"]
    assert await ids(status="busy") == ["list-b"]
    assert await ids(status="idle", limit=1) == ["list-a", "list-c"]
    unknown = await stack.request("GET", "/workflows", params={"colour": "red"})
    assert unknown.status_code == 422
    destination.held.set()


async def test_read_change_remove_with_an_execution_under_way(
    stack: Stack, destination: Destination
) -> None:
    held = manual("busy-delete", destination.to("/hold"))
    await stack.create(held)
    first = await stack.trigger("busy-delete")
    await stack.reaches(first, "running")
    newer = manual("busy-delete", log_action("newer"))
    await stack.request("PUT", "/workflows/busy-delete", json=newer)
    assert (await stack.request("DELETE", "/workflows/busy-delete")).status_code == 204
    destination.held.set()
    ended = await stack.ends(first)
    assert (ended["status"], ended["version"]) == ("completed", 1)

    destination.held.clear()
    await stack.create(held)
    second = await stack.trigger("busy-delete")
    await stack.reaches(second, "running")
    await stack.request("DELETE", "/workflows/busy-delete", params={"cancel": "true"})
    assert (await stack.ends(second))["status"] == "cancelled"


@pytest.mark.parametrize(
    ("given", "canonical"),
    [("30s", "30s"), ("2m", "2m"), ("1h", "1h"), ("60s", "1m"), ("120m", "2h"), ("90s", "90s")],
)
async def test_units(stack: Stack, given: str, canonical: str) -> None:
    created = await stack.create(periodic(f"units-{given}", given))
    assert created["trigger"]["interval"] == canonical
