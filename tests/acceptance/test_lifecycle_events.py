"""Scenario: lifecycle events, for anyone who subscribes, at least once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import jsonschema  # type: ignore[import-untyped]

from tests.acceptance.conftest import MakeStack
from tests.support import asyncapi
from tests.support.destination import Destination
from tests.support.event_tap import EventTap, event_tap
from tests.support.own_servers import own_broker
from tests.support.stack import QUICK, Stack, events, manual, periodic, quick_retry
from tests.support.waiting import eventually


@asynccontextmanager
async def subscribed(stack: Stack) -> AsyncIterator[EventTap]:
    """Subscribe to the lifecycle events of a platform."""
    topic = f"{stack.env['KAFKA_TOPIC_PREFIX']}execution-events"
    async with event_tap(stack.env["KAFKA_BOOTSTRAP_SERVERS"], topic) as tap:
        yield tap


async def test_a_life_is_told_in_order(stack: Stack, destination: Destination) -> None:
    flaky = destination.to("/flaky/1/told", retry=quick_retry())
    await stack.create(manual("told", flaky))
    execution_id = await stack.trigger("told")
    execution = await stack.ends(execution_id)
    async with subscribed(stack) as tap:
        milestones = await tap.ends(execution_id)
        told = await tap.of(execution_id)
    assert milestones == ["queued", "started", "retry-scheduled", "completed"]
    assert [event.id for event in told] == [f"{execution_id}:{e.data.seq}" for e in told]
    types = {"queued", "claimed", "retry.scheduled", "completed"}
    firsts = {e["type"]: e for e in reversed(execution["history"]) if e["type"] in types}
    history = sorted(firsts.values(), key=lambda event: event["seq"])
    assert [e.data.seq for e in told] == [e["seq"] for e in history]
    shown = [e.model_dump(mode="json")["time"] for e in told]
    assert shown == [e["at"] for e in history]
    assert told[2].data.error is not None
    assert told[2].data.attempt == 2
    keys = {record.key for record in tap.records if execution_id.encode() in (record.value or b"")}
    assert keys == {b"told"}


async def test_every_way_to_end_is_told(stack: Stack, destination: Destination) -> None:
    await stack.create(manual("told-fails", destination.to("/status/404")))
    await stack.create(manual("told-cancelled", destination.to("/hold")))
    await stack.create(periodic("told-skips", "1s", destination.to("/hold")))
    failing, slow = await stack.trigger("told-fails"), await stack.trigger("told-cancelled")
    await stack.reaches(slow, "running")
    assert (await stack.request("POST", f"/executions/{slow}/cancel")).status_code < 300
    async with subscribed(stack) as tap:
        assert await tap.ends(failing) == ["queued", "started", "failed"]
        assert await tap.ends(slow) == ["queued", "started", "cancelled"]

        async def skipped() -> list[str | None]:
            named = [e for e in await tap.read() if e.data.workflow_id == "told-skips"]
            return [e.data.reason for e in named if e.type.endswith(".skipped.v1")]

        assert "overlap" in await eventually(skipped)
        schema = asyncapi.document()["channels"]["executionEvents"]["messages"]
        for message in tap.decoded():
            jsonschema.validate(message, schema["executionEvent"]["payload"])
    await stack.request("DELETE", "/workflows/told-skips?cancel=true")


async def test_switched_off_nothing_is_told(make_stack: MakeStack) -> None:
    stack = await make_stack(EXECUTION_EVENTS="false")
    await stack.create(manual("silent"))
    await stack.ends(await stack.trigger("silent"))
    async with subscribed(stack) as tap:
        assert await tap.read() == []
    assert await stack.runner.metric("execution_events_published_total") == 0


async def test_killed_between_saving_and_publishing(
    broker: str, unique: str, destination: Destination
) -> None:
    """A runner completes executions while the broker is down, and is killed before it returns."""
    with own_broker(broker) as server:
        await server.start()
        stack = Stack(broker, unique, QUICK, kafka=server.address)
        try:
            await stack.start()
            names = [f"held-{number}" for number in range(5)]
            for name in names:
                await stack.create(manual(name, destination.to("/hold")))
            ids = [await stack.trigger(name) for name in names]

            async def calls() -> int:
                return len(destination.calls)

            await eventually(calls, lambda n: n == len(ids))
            await server.kill()
            await eventually(stack.runner.readiness, lambda status: status == 503)
            destination.held.set()
            for execution_id in ids:
                execution = await stack.ends(execution_id)
                assert events(execution)[-1] == "completed"
            await asyncio.to_thread(stack.runner.process.kill)
            await server.start()
            async with subscribed(stack) as tap:
                for execution_id in ids:
                    assert (await tap.ends(execution_id))[-1] == "completed"
            assert await stack.scheduler.metric("execution_events_republished_total") >= len(ids)
        finally:
            await stack.close()


async def test_everything_stopped_while_kafka_was_away(broker: str, unique: str) -> None:
    """Nobody who knew of the events is left; a scheduler that starts later tells of them."""
    with own_broker(broker) as server:
        await server.start()
        stack = Stack(broker, unique, QUICK, kafka=server.address)
        try:
            await stack.start()
            await stack.create(manual("left"))
            await server.kill()
            await eventually(stack.workflows.readiness, lambda status: status == 503)
            execution_id = await stack.trigger("left")
            assert await stack.stop() == [0, 0, 0]
            await server.start()
            for service in stack.services.values():
                service.start()
            await stack.ready()
            async with subscribed(stack) as tap:
                assert await tap.ends(execution_id) == ["queued", "started", "completed"]
        finally:
            await stack.close()
