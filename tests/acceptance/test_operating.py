"""Scenarios: List executions, Cancel, Secrets, Forbidden destinations, Health, Dead letters,
Retention.
"""

import asyncio
import base64
import json
from datetime import timedelta

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from shared.adapters.mongo.connection import MongoConnection, MongoSettings
from tests.acceptance.conftest import MakeStack
from tests.support.destination import Destination
from tests.support.servers import mongodb_uri
from tests.support.stack import (
    Json,
    Service,
    Stack,
    events,
    log_action,
    manual,
    periodic,
    quick_retry,
)
from tests.support.waiting import PATIENCE, eventually


@pytest.mark.one_broker
async def test_list_executions(stack: Stack, destination: Destination) -> None:
    await stack.create(manual("listed"))
    await stack.create(manual("listed-failing", destination.to("/status/404")))
    ids = [(await stack.ends(await stack.trigger("listed")))["executionId"] for _ in range(5)]
    failed = await stack.ends(await stack.trigger("listed-failing"))
    newest_first = [e["executionId"] for e in await stack.executions(workflowId="listed", limit=2)]
    assert newest_first == ids[::-1]
    only = await stack.executions(status="failed", workflowId="listed-failing")
    assert [e["executionId"] for e in only] == [failed["executionId"]]
    both = await stack.executions(status=["failed", "completed"], workflowId="listed-failing")
    assert len(both) == 1
    third = await stack.execution(ids[2])
    since = await stack.executions(workflowId="listed", **{"from": third["createdAt"]})
    assert [e["executionId"] for e in since] == ids[:1:-1]
    until = await stack.executions(workflowId="listed", to=third["createdAt"])
    assert [e["executionId"] for e in until] == ids[1::-1]
    assert "history" not in since[0]
    assert events(third)[0] == "queued"
    assert (await stack.request("GET", "/executions/unknown")).status_code == 404
    for params in ({"status": "odd"}, {"cursor": "odd"}, {"from": "yesterday"}, {"limit": 0}):
        assert (await stack.request("GET", "/executions", params=params)).status_code == 422


async def test_cancel_of_a_running_http_action(stack: Stack, destination: Destination) -> None:
    await stack.create(manual("cancel-running", destination.to("/hold"), log_action("never")))
    execution_id = await stack.trigger("cancel-running")

    async def arrived() -> int:
        return len(destination.calls)

    await eventually(arrived)
    cancelled = await stack.request("POST", f"/executions/{execution_id}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert await stack.status("cancel-running") == "idle"

    async def aborted() -> list[str]:
        return destination.aborted

    await eventually(aborted)
    destination.held.set()
    again = await stack.request("POST", f"/executions/{execution_id}/cancel")
    assert again.status_code == 409
    ended = await stack.execution(execution_id)
    assert ended["status"] == "cancelled"
    assert events(ended).count("cancelled") == 1
    assert not stack.runner.logged("action.log", executionId=execution_id)


@pytest.mark.one_broker
async def test_cancel_in_backoff(stack: Stack, destination: Destination) -> None:
    await stack.create(
        manual("cancel-pending", destination.to("/status/500"), retry=quick_retry(3, "1h"))
    )
    execution_id = await stack.trigger("cancel-pending")
    await stack.reaches(execution_id, "pending")
    await stack.request("POST", f"/executions/{execution_id}/cancel")
    ended = await stack.execution(execution_id)
    assert ended["status"] == "cancelled"
    assert "nextAttemptAt" not in ended
    assert await stack.status("cancel-pending") == "idle"


async def test_cancel_while_queued(make_stack: MakeStack) -> None:
    stack = await make_stack("workflows")
    await stack.create(manual("cancel-queued"))
    execution_id = await stack.trigger("cancel-queued")
    answers = await asyncio.gather(
        *(stack.request("POST", f"/executions/{execution_id}/cancel") for _ in range(5))
    )
    assert sorted(a.status_code for a in answers) == [200, 409, 409, 409, 409]
    stack.add("runner")
    await stack.ready()
    after = await stack.ends(await stack.trigger("cancel-queued"))
    assert after["status"] == "completed"
    assert events(await stack.execution(execution_id)) == ["queued", "cancelled"]


@pytest.mark.one_broker
async def test_cancel_of_an_unknown_execution(stack: Stack) -> None:
    assert (await stack.request("POST", "/executions/unknown/cancel")).status_code == 404


SECRET = "s3cr3t/värdé&"


@pytest.mark.one_broker
async def test_secrets(stack: Stack, destination: Destination) -> None:
    definition = manual(
        "secretive",
        destination.to(
            "/echo/${secret:TOKEN}",
            method="POST",
            headers={"X-Plain": "Token ${secret:PLAIN}"},
            body={"token": "${secret:TOKEN}", "other": ["x ${secret:TOKEN}"]},
        ),
        destination.to("/status/404?t=${secret:TOKEN}"),
    )
    await stack.create(definition)
    execution_id = await stack.trigger("secretive")
    execution = await stack.ends(execution_id)
    first, second = destination.calls
    assert first.path == f"/echo/{SECRET}"
    assert json.loads(first.body) == {"token": SECRET, "other": [f"x {SECRET}"]}
    assert first.headers["x-plain"] == "Token pl4in"
    assert second.query == {"t": SECRET}
    assert execution["status"] == "failed"
    shown = (await stack.request("GET", "/workflows/secretive")).text
    everything = [
        str(execution),
        shown,
        *(str(line) for line in stack.runner.lines),
        (await stack.request("GET", "/executions", params={"workflowId": "secretive"})).text,
    ]
    quoted = ("s3cr3t", "v%C3%A4rd", "värdé", "pl4in")
    assert not [text for text in everything for part in quoted if part in text]
    assert "***" in str(execution["actions"][0]["output"])


@pytest.mark.one_broker
async def test_secrets_that_are_not_set_fail_by_name(
    stack: Stack, destination: Destination
) -> None:
    await stack.create(manual("no-secret", destination.to("/${secret:MISSING}")))
    execution = await stack.ends(await stack.trigger("no-secret"))
    assert (execution["status"], execution["error"]["category"]) == ("failed", "permanent")
    assert "SECRET_MISSING" in execution["error"]["message"]
    assert destination.calls == []


@pytest.mark.one_broker
async def test_secrets_in_headers_are_redacted_and_references_kept(stack: Stack) -> None:
    headers = {
        "Authorization": "Bearer abc",
        "X-Api-Key": "${secret:TOKEN}",
        "Accept": "text/plain",
    }
    action = {"type": "http-request", "url": "http://127.0.0.1:9", "headers": headers}
    created = await stack.create(manual("redacted", action))
    shown = created["actions"][0]["headers"]
    assert shown == {**headers, "Authorization": "***"}
    back = manual("redacted", {**action, "headers": shown})
    refused = await stack.request("PUT", "/workflows/redacted", json=back)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["pointer"] == "/actions/0/headers"


FORBIDDEN = [
    "http://127.0.0.1:{port}/",
    "http://localhost:{port}/",
    "http://[::1]:{port}/",
    "http://0.0.0.0:{port}/",
    "http://2130706433:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://169.254.169.254/latest/meta-data/",
    "http://10.0.0.1/",
    "http://192.168.1.1/",
    "http://[fd00:ec2::254]/",
]


@pytest.mark.one_broker
async def test_forbidden_destinations(make_stack: MakeStack, destination: Destination) -> None:
    stack = await make_stack(HTTP_ALLOW_PRIVATE_ADDRESSES="false")
    port = destination.url.rpartition(":")[2]
    for number, url in enumerate(FORBIDDEN):
        action = {"type": "http-request", "url": url.format(port=port)}
        await stack.create(manual(f"forbidden-{number}", action))
    ids = [await stack.trigger(f"forbidden-{number}") for number in range(len(FORBIDDEN))]
    for execution_id in ids:
        execution = await stack.ends(execution_id)
        assert execution["status"] == "failed", execution
        assert execution["error"]["category"] == "permanent", execution
        message = execution["error"]["message"]
        assert "not a public address" in message or "not a canonical IPv4 address" in message
    assert destination.calls == []


async def test_health(stack: Stack) -> None:
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        for service in stack.services.values():
            await eventually(service.readiness, lambda status: status == 200)
            for path in ("/health", "/health/live", "/health/ready"):
                response = await client.get(f"{service.url}{path}")
                assert (response.status_code, response.json()) == (200, {"ok": True})
            metrics = await client.get(f"{service.url}/metrics")
            assert metrics.status_code == 200
            assert "# TYPE" in metrics.text


@pytest.mark.one_broker
@pytest.mark.parametrize("name", ["workflows", "scheduler", "runner"])
async def test_health_names_the_dependency_that_is_down(make_stack: MakeStack, name: str) -> None:
    stack = await make_stack("none", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:9")
    service = stack.add(name)

    async def listening() -> str | None:
        return service.url

    await eventually(listening)

    async def down() -> Json:
        return await _down(service)

    found = await eventually(down, lambda troubles: "kafka" in troubles)
    assert found["kafka"]
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        assert (await client.get(f"{service.url}/health/live")).status_code == 200
        assert (await client.get(f"{service.url}/health")).json()["ok"] is False


async def _down(service: Service) -> Json:
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        response = await client.get(f"{service.url}/health/ready")
    assert response.status_code == 503
    troubles: Json = response.json()["down"]
    return troubles


async def test_dead_letters(stack: Stack) -> None:
    kafka = stack.env["KAFKA_BOOTSTRAP_SERVERS"]
    topic = f"{stack.env['KAFKA_TOPIC_PREFIX']}execution-requests"
    poison = b"\xffpoison " + stack.env["KAFKA_TOPIC_PREFIX"].encode()
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    sent = await producer.send_and_wait(topic, poison, key=b"k")
    await producer.stop()
    await stack.create(manual("goes-on"))
    assert (await stack.ends(await stack.trigger("goes-on")))["status"] == "completed"

    async def letters() -> list[Json]:
        found = (await stack.request("GET", "/dead-letters", params={"status": "new"})).json()
        letters = [
            (await stack.request("GET", f"/dead-letters/{d['id']}")).json() for d in found["items"]
        ]
        return [d for d in letters if base64.b64decode(d["value"]) == poison]

    (letter,) = await eventually(letters)
    assert (letter["topic"], letter["partition"], letter["offset"]) == (
        topic,
        sent.partition,
        sent.offset,
    )
    assert letter["reason"] == "not JSON"
    assert base64.b64decode(letter["key"]) == b"k"

    consumer = AIOKafkaConsumer(
        f"{topic}.dlq", bootstrap_servers=kafka, auto_offset_reset="earliest"
    )
    await consumer.start()
    copy = await asyncio.wait_for(consumer.getone(), PATIENCE)
    await consumer.stop()
    assert copy.value == poison
    assert dict(copy.headers)["reason"] == b"not JSON"

    path = f"/dead-letters/{letter['id']}"
    assert (await stack.request("GET", path)).json()["status"] == "new"
    requeued = await stack.request("POST", f"{path}/requeue")
    assert requeued.json()["status"] == "requeued"
    assert (await stack.request("POST", f"{path}/discard")).status_code == 409
    (again,) = await eventually(letters)
    assert again["offset"] != letter["offset"] or again["partition"] != letter["partition"]
    discarded = await stack.request("POST", f"/dead-letters/{again['id']}/discard")
    assert discarded.json()["status"] == "discarded"
    assert await letters() == []
    assert (await stack.request("GET", "/dead-letters/unknown")).status_code == 404


@pytest.mark.one_broker
async def test_retention(stack: Stack, destination: Destination) -> None:
    """Finished executions expire when their time has come; workflows and unfinished ones never."""
    await stack.create(manual("expires"))
    await stack.create(manual("stays", destination.to("/hold")))
    finished = await stack.ends(await stack.trigger("expires"))
    unfinished = await stack.trigger("stays")
    settings = MongoSettings(mongodb_uri(), stack.env["MONGODB_DATABASE"], timedelta(seconds=20))
    mongo = MongoConnection(settings, "tests")
    raw = await mongo.executions.find_one({"_id": finished["executionId"]})
    assert raw is not None
    assert raw["expiresAt"] - raw["finishedAt"] == timedelta(days=30)
    other = await mongo.executions.find_one({"_id": unfinished})
    assert other is not None
    assert "expiresAt" not in other
    past = raw["finishedAt"] - timedelta(days=1)
    await mongo.executions.update_one({"_id": raw["_id"]}, {"$set": {"expiresAt": past}})
    await mongo.close()

    async def gone() -> bool:
        path = f"/executions/{finished['executionId']}"
        return (await stack.request("GET", path)).status_code == 404

    await eventually(gone)
    assert (await stack.request("GET", "/workflows/expires")).status_code == 200
    assert (await stack.execution(unfinished))["status"] == "running"
    destination.held.set()


@pytest.mark.one_broker
async def test_periodic_workflows_that_are_disabled_record_what_they_missed(stack: Stack) -> None:
    await stack.create(periodic("switched", "1s"))
    await stack.request("PATCH", "/workflows/switched", json={"enabled": False})
    await asyncio.sleep(3.5)
    await stack.request("PATCH", "/workflows/switched", json={"enabled": True})

    async def found() -> list[Json]:
        skipped = await stack.executions(workflowId="switched", status="skipped")
        return [e for e in skipped if e["skipped"]["reason"] == "disabled"]

    (skipped,) = await eventually(found)
    assert skipped["skipped"]["count"] >= 2
    await eventually(lambda: stack.executions(workflowId="switched", status="completed"))
    await stack.request("DELETE", "/workflows/switched")
