"""Asking the running services about executions: history, why, verification; and about actions."""

from datetime import timedelta
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from shared.adapters.mongo.connection import MongoConnection, MongoSettings
from tests.acceptance.conftest import MakeStack
from tests.support.destination import Destination
from tests.support.servers import mongodb_uri
from tests.support.stack import Json, Stack, events, log_action, manual, quick_retry

pytestmark = pytest.mark.one_broker


@pytest.fixture
def name(unique: str) -> str:
    """The id of a workflow that no other test has."""
    return f"ask-{unique}"


async def get(stack: Stack, path: str, **params: Any) -> Json:
    answer = await stack.request("GET", path, params=params)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def test_the_history_tells_every_event_and_the_state_at_each(
    stack: Stack, destination: Destination, name: str
) -> None:
    flaky = destination.to(f"/flaky/1/{name}", id="flaky", retry=quick_retry())
    each = log_action(id="each", forEach={"items": ["x", "y"], "concurrency": 1})
    await stack.create(manual(name, log_action(id="a"), flaky, each))
    ended = await stack.ends(await stack.trigger(name, json={"n": 1}))
    assert ended["status"] == "completed"
    path = f"/executions/{ended['executionId']}/history"
    assert (await get(stack, path))["events"] == ended["history"]
    assert "state" not in await get(stack, path)
    states = [(await get(stack, path, at=n + 1))["state"] for n in range(len(ended["history"]))]
    assert [events(state) for state in states] == [
        events(ended)[: n + 1] for n in range(len(states))
    ]
    assert (states[0]["status"], states[0]["actions"], states[0]["input"]) == (
        "queued",
        [],
        {"n": 1},
    )
    assert {"pending", "running"} < {state["status"] for state in states}
    assert states[-1]["actions"] == ended["actions"]
    (items,) = [a["items"] for a in ended["actions"] if a["id"] == "each"]
    assert [(item["id"], item["index"]) for item in items] == [("each[0]", 0), ("each[1]", 1)]
    beyond = await stack.request("GET", path, params={"at": len(states) + 1})
    assert beyond.status_code == 404
    for nonsense in ("0", "-1", "last", "1.5"):
        refused = await stack.request("GET", path, params={"at": nonsense})
        assert refused.status_code == 422, nonsense
    assert (await stack.request("GET", path, params={"to": 1})).status_code == 422


async def test_why_says_what_an_execution_waits_for(
    stack: Stack, destination: Destination, name: str
) -> None:
    failing = destination.to("/status/500", id="failing", retry=quick_retry(3, "1h"))
    delay = {"id": "nap", "type": "delay", "duration": "1h"}
    for kind, step in {"pending": failing, "waiting": delay}.items():
        await stack.create(manual(f"{name}-{kind}", step))
        execution_id = await stack.trigger(f"{name}-{kind}")
        found = await stack.reaches(execution_id, kind)
        reason = await get(stack, f"/executions/{execution_id}/why")
        assert (reason["executionId"], reason["status"]) == (execution_id, kind)
        assert reason["until"] == found["nextAttemptAt"]
        assert f"'{step['id']}'" in reason["why"]
        await stack.request("POST", f"/executions/{execution_id}/cancel")
        reason = await get(stack, f"/executions/{execution_id}/why")
        assert (reason["status"], "until" in reason) == ("cancelled", False)


async def test_why_of_an_execution_that_no_runner_takes(make_stack: MakeStack) -> None:
    stack = await make_stack("workflows")
    await stack.create(manual("untaken"))
    execution_id = await stack.trigger("untaken")
    reason = await get(stack, f"/executions/{execution_id}/why")
    assert "no runner has taken it yet" in reason["why"]
    assert reason["until"] > (await stack.execution(execution_id))["createdAt"]


async def test_verification_finds_what_is_not_as_it_was_recorded(make_stack: MakeStack) -> None:
    stack = await make_stack()
    await stack.create(manual("honest"))
    await stack.create(manual("forged"))
    ids = [(await stack.ends(await stack.trigger("honest")))["executionId"] for _ in range(4)]
    forged = (await stack.ends(await stack.trigger("forged")))["executionId"]
    path = "/executions/verification"
    assert await get(stack, path) == {"checked": 5, "inconsistent": []}
    settings = MongoSettings(mongodb_uri(), stack.env["MONGODB_DATABASE"], timedelta(seconds=20))
    mongo = MongoConnection(settings, "tests")
    change = {"$set": {"actions.log-1.output": "forged"}}
    await mongo.executions.update_one({"_id": forged}, change)
    await mongo.close()
    assert await get(stack, path, workflowId="honest") == {"checked": 4, "inconsistent": []}
    checked, wrong = 0, list[Json]()
    cursor: dict[str, str] = {}
    while True:
        page = await get(stack, path, limit=2, **cursor)
        checked += page["checked"]
        wrong += page["inconsistent"]
        if "nextCursor" not in page:
            break
        cursor = {"cursor": page["nextCursor"]}
    assert checked == len(ids) + 1
    (one,) = wrong
    assert one["executionId"] == forged
    assert "'log-1'" in one["differences"][0]
    for params in ({"cursor": "odd"}, {"limit": 0}, {"status": "failed"}):
        assert (await stack.request("GET", path, params=params)).status_code == 422


async def test_an_input_schema_guards_every_way_to_start_by_hand(stack: Stack, name: str) -> None:
    schema = {
        "type": "object",
        "properties": {"orderId": {"type": "integer"}},
        "required": ["orderId"],
    }
    broken = await stack.request(
        "POST", "/workflows", json=manual(name, inputSchema={"type": "objekt"})
    )
    assert broken.status_code == 422
    assert broken.json()["errors"][0]["pointer"] == "/inputSchema/type"
    created = await stack.create(manual(name, log_action(id="a"), inputSchema=schema))
    assert created["inputSchema"] == schema
    refused = await stack.request("POST", f"/workflows/{name}/trigger", json={"orderId": "x"})
    assert refused.status_code == 422
    assert refused.json()["errors"] == [
        {"pointer": "/orderId", "detail": "'x' is not of type 'integer'"}
    ]
    assert (await stack.request("POST", f"/workflows/{name}/trigger")).status_code == 422
    first = await stack.ends(await stack.trigger(name, json={"orderId": 1}))
    for verb, more in (("rerun", {}), ("replay", {"fromAction": "a"})):
        path = f"/executions/{first['executionId']}/{verb}"
        refused = await stack.request("POST", path, json={**more, "input": {"orderId": "x"}})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == "/input/orderId"
        again = await stack.request("POST", path, json=more)
        assert again.status_code == 202, again.text
        assert (await stack.ends(again.json()["executionId"]))["input"] == {"orderId": 1}
    assert len(await stack.executions(workflowId=name)) == 3


async def test_the_registered_actions_are_listed_with_their_parameters(stack: Stack) -> None:
    found = {item["name"]: item for item in (await get(stack, "/actions"))["items"]}
    assert {"log", "http-request", "delay", "transform", "fail", "journal"} <= found.keys()
    schema = found["http-request"]["parameters"]
    Draft202012Validator.check_schema(schema)
    assert schema["required"] == ["url"]
    assert found["pay-once"]["effect"] == "at-most-once"
