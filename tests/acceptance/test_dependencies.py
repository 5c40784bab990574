"""Scenarios: Lost wake-up, Dependencies down."""

import asyncio
import time

import pytest
from aiokafka import AIOKafkaConsumer

from tests.acceptance.conftest import MakeStack
from tests.support.own_servers import own_broker, own_mongo
from tests.support.stack import QUICK, Stack, events, manual, periodic
from tests.support.waiting import PATIENCE, eventually

AWAY = {**QUICK, "MONGODB_TIMEOUT": "2s"}
"""With the default of the API, whose answers must not take long when MongoDB is away."""

NO_WAIT = 0.1
"""Seconds within which a trigger is answered without Kafka."""

NEARLY_NO_WAIT = 3
"""Seconds within which the API says that MongoDB is away."""

GIVES_UP = 30
"""Seconds after which the drivers give up by themselves; no answer may wait for that."""


async def test_lost_wake_up(broker: str, unique: str) -> None:
    with own_broker(broker) as server:
        await server.start()
        stack = Stack(broker, unique, {**QUICK, "RESEND": "3s"}, kafka=server.address)
        try:
            await stack.start()
            assert await stack.runner.stop() == 0
            await stack.create(manual("lost"))
            execution_id = await stack.trigger("lost")
            await _arrival(stack)
            await server.kill()
            await server.wipe()
            await server.start()
            stack.runner.start()
            await stack.ready()
            began = time.monotonic()
            execution = await stack.ends(execution_id)
            assert execution["status"] == "completed"
            # After a few seconds as a rule, and on no machine after any time limit of Kafka.
            assert time.monotonic() - began < GIVES_UP
            assert events(execution) == ["queued", "claimed", "action.completed", "completed"]
            assert await stack.scheduler.metric("executions_emitted_total") >= 1
        finally:
            await stack.close()


async def _arrival(stack: Stack) -> None:
    """Wait until an execution request lies on the broker."""
    consumer = AIOKafkaConsumer(
        f"{stack.env['KAFKA_TOPIC_PREFIX']}execution-requests",
        bootstrap_servers=stack.env["KAFKA_BOOTSTRAP_SERVERS"],
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        async with asyncio.timeout(PATIENCE):
            await consumer.getone()
    finally:
        await consumer.stop()


async def test_dependencies_down_kafka(broker: str, unique: str) -> None:
    with own_broker(broker) as server:
        await server.start()
        stack = Stack(broker, unique, QUICK, kafka=server.address)
        try:
            await stack.start()
            for number in range(10):
                await stack.create(manual(f"away-{number}"))
            await stack.create(periodic("ticks-on", "1s"))
            await server.kill()
            await eventually(stack.workflows.readiness, lambda status: status == 503)
            ids, took = [], []
            for number in range(10):
                began = time.perf_counter()
                ids.append(await stack.trigger(f"away-{number}"))
                took.append(time.perf_counter() - began)
            assert min(took) < NO_WAIT, took
            assert max(took) < GIVES_UP / 3, took
            assert (await stack.execution(ids[0]))["status"] == "queued"
            await server.wipe()
            await server.start()
            for execution_id in ids:
                assert (await stack.ends(execution_id))["status"] == "completed"
            await stack.ready()
            fresh = await stack.trigger("away-0")
            assert (await stack.ends(fresh))["status"] == "completed"
            assert all(service.process.is_running for service in stack.services.values())
        finally:
            await stack.close()


async def test_dependencies_down_mongodb(broker: str, unique: str) -> None:
    with own_mongo() as mongo:
        mongo.start()
        stack = Stack(broker, unique, AWAY, mongodb=mongo.uri)
        try:
            await stack.start()
            await stack.create(manual("survivor"))
            await stack.create(periodic("ticker", "1s"))
            await asyncio.to_thread(mongo.kill)
            took = [
                await _unavailable(stack, "GET", "/workflows/survivor"),
                await _unavailable(stack, "GET", "/executions"),
                await _unavailable(stack, "POST", "/workflows/survivor/trigger"),
            ]
            assert min(took) < NEARLY_NO_WAIT, took
            assert await stack.runner.readiness() == 503
            await asyncio.to_thread(mongo.start)
            await stack.ready()
            assert (await stack.ends(await stack.trigger("survivor")))["status"] == "completed"
            ticks = len(await stack.executions(workflowId="ticker", status="completed"))
            await eventually(
                lambda: stack.executions(workflowId="ticker", status="completed"),
                lambda found: len(found) > ticks,
            )
            assert all(service.process.is_running for service in stack.services.values())
        finally:
            await stack.close()


async def _unavailable(stack: Stack, method: str, path: str) -> float:
    """Send a request that is told what is away, and when to come back; return how long it took."""
    began = time.perf_counter()
    response = await stack.request(method, path)
    took = time.perf_counter() - began
    assert took < GIVES_UP / 2
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["dependency"] == "MongoDB"
    return took


async def test_dependencies_down_at_the_start(broker: str, unique: str) -> None:
    """Either order of start works: here everything waits for its servers."""
    with own_broker(broker) as server, own_mongo() as mongo:
        stack = Stack(broker, unique, AWAY, kafka=server.address, mongodb=mongo.uri)
        try:
            for name in ("workflows", "scheduler", "runner"):
                stack.add(name)
            for service in stack.services.values():
                await eventually(service.readiness, lambda status: status == 503)
            await _unavailable(stack, "GET", "/workflows")
            await asyncio.to_thread(mongo.start)
            await server.start()
            await stack.ready()
            await stack.create(manual("late-start"))
            assert (await stack.ends(await stack.trigger("late-start")))["status"] == "completed"
        finally:
            await stack.close()


@pytest.mark.one_broker
async def test_dependencies_down_does_not_keep_a_service_from_stopping(
    make_stack: MakeStack,
) -> None:
    stack = await make_stack("none", MONGODB_URI="mongodb://127.0.0.1:9/?replicaSet=rs0")
    for name in ("workflows", "scheduler", "runner"):
        service = stack.add(name)
        await eventually(service.readiness, lambda status: status == 503)
        assert await service.stop() == 0


async def test_dependencies_lost_do_not_keep_a_service_from_stopping(
    broker: str, unique: str
) -> None:
    with own_broker(broker) as server, own_mongo() as mongo:
        await server.start()
        await asyncio.to_thread(mongo.start)
        stack = Stack(broker, unique, AWAY, kafka=server.address, mongodb=mongo.uri)
        try:
            await stack.start()
            await server.kill()
            await eventually(stack.workflows.readiness, lambda status: status == 503)
            assert await stack.stop() == [0, 0, 0]
            await server.wipe()
            await server.start()
            for service in stack.services.values():
                service.start()
            await stack.ready()
            await asyncio.to_thread(mongo.kill)
            await eventually(stack.workflows.readiness, lambda status: status == 503)
            assert await stack.stop() == [0, 0, 0]
        finally:
            await stack.close()
