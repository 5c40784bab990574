"""Scenarios: Crash is not success, Runner-killer, Poisonous result, No double run, Stop."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest

from tests.acceptance.conftest import MakeStack
from tests.support.destination import Destination
from tests.support.journal import Journal
from tests.support.repeating import deliver_again
from tests.support.stack import (
    STOP_SECONDS,
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


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


async def _runner_of(stack: Stack, execution_id: str) -> Service:
    """Return the runner that ran the execution's log action."""

    async def found() -> list[Service]:
        runners = [s for s in stack.services.values() if s.name == "runner"]
        return [s for s in runners if s.logged("action.log", executionId=execution_id)]

    return (await eventually(found))[0]


async def test_crash_is_not_success(make_stack: MakeStack, destination: Destination) -> None:
    """With leases that outlast the group's session, as by default.

    The wake-up at the end of the lease is enough: it would be sent again only much later.
    """
    lease, resend = 14, 90
    stack = await make_stack(
        "none",
        LEASE=f"{lease}s",
        LEASE_RENEWAL="3s",
        RESEND=f"{resend}s",
        RESEND_MAX=f"{resend}s",
    )
    stack.add("workflows")
    stack.add("scheduler")
    stack.add("runner", KAFKA_SESSION_TIMEOUT="6s")
    stack.add("runner", "runner-2", KAFKA_SESSION_TIMEOUT="6s")
    await stack.ready()
    actions = (log_action(id="A"), destination.to("/hold", id="B"), log_action(id="C"))
    await stack.create(manual("crashing", *actions))
    execution_id = await stack.trigger("crashing")
    killed = await _runner_of(stack, execution_id)

    async def calls() -> int:
        return len(destination.calls)

    await eventually(calls)
    await asyncio.to_thread(killed.process.kill)
    at = time.time()
    execution = await stack.execution(execution_id)
    assert execution["status"] == "running"
    assert [a["id"] for a in execution["actions"]] == ["A"]
    await eventually(calls, lambda n: n == 2, within=lease + resend + PATIENCE)
    execution = await stack.execution(execution_id)
    recovered = next(e for e in execution["history"] if e["type"] == "recovered")
    assert datetime.fromisoformat(recovered["at"]).timestamp() - at < lease + resend / 2
    destination.held.set()
    ended = await stack.ends(execution_id)
    assert ended["status"] == "completed"
    assert ended["recoveries"] == 1
    done = [e["action"] for e in ended["history"] if e["type"] == "action.completed"]
    assert done == ["A", "B", "C"]
    assert len({call.headers["idempotency-key"] for call in destination.calls}) == 1
    assert await stack.status("crashing") == "idle"


async def test_runner_killer(make_stack: MakeStack) -> None:
    most = 2
    stack = await make_stack(
        "none",
        LEASE="3s",
        LEASE_RENEWAL="1s",
        KAFKA_SESSION_TIMEOUT="6s",
        MAX_RECOVERIES=f"{most}",
    )
    stack.add("workflows")
    stack.add("scheduler")
    for number in range(3):
        stack.add("runner", f"runner-{number}")
    await stack.ready()
    keeping = asyncio.create_task(_keep_running(stack))
    await stack.create(manual("killer", {"type": "kill-runner"}))
    await stack.create(manual("bystander"))
    execution_id = await stack.trigger("killer")
    bystander = await stack.ends(await stack.trigger("bystander"))
    killed = await stack.ends(execution_id, within=400)
    keeping.cancel()
    assert bystander["status"] == "completed"
    assert (killed["status"], killed["error"]["category"]) == ("failed", "runner-lost")
    assert events(killed).count("recovered") == most + 1
    assert killed["recoveries"] == most + 1
    assert await stack.status("killer") == "idle"


async def _keep_running(stack: Stack) -> None:
    """Start again what ended, as any supervisor of processes does."""
    while True:
        for service in list(stack.services.values()):
            if not service.process.is_running:
                service.start()
        await asyncio.sleep(0.5)


@pytest.mark.one_broker
async def test_poisonous_result(stack: Stack) -> None:
    kinds = ("int70", "fine", "surrogate", "20MB")
    for kind in kinds:
        await stack.create(manual(f"odd-{kind}", {"type": "odd-output", "kind": kind}))
    ids = [await stack.trigger(f"odd-{kind}") for kind in kinds]
    for kind, execution_id in zip(kinds, ids, strict=True):
        execution = await stack.ends(execution_id)
        if kind == "fine":
            assert execution["status"] == "completed"
        else:
            assert execution["status"] == "failed"
            assert execution["error"]["category"] == "output-unserialisable"


async def test_no_double_run(make_stack: MakeStack, journal: Journal) -> None:
    stack = await make_stack("none")
    stack.add("workflows")
    for number in range(2):
        stack.add("scheduler", f"scheduler-{number}")
        stack.add("runner", f"runner-{number}")
    await stack.ready()
    doubling = asyncio.create_task(deliver_again(stack))
    names = [f"double-{number}" for number in range(20)]
    for name in names:
        await stack.create(periodic(name, "1s", journal.action()))

    async def completed() -> list[Json]:
        return await stack.executions(status="completed")

    async def shares() -> list[float]:
        runners = [s for label, s in stack.services.items() if label.startswith("runner")]
        return [await s.metric('executions_total{outcome="completed"}') for s in runners]

    await eventually(completed, lambda found: _fewest(names, found) >= 7, every=1)
    await eventually(shares, all)
    for name in names:
        await stack.request("PATCH", f"/workflows/{name}", json={"enabled": False})

    async def unfinished() -> list[Json]:
        return await stack.executions(status=["queued", "running", "pending"])

    await eventually(unfinished, lambda found: not found)
    doubling.cancel()
    with suppress(asyncio.CancelledError):
        await doubling
    for name in names:
        executions = await stack.executions(workflowId=name)
        instants = [e["scheduledFor"] for e in executions]
        assert len(instants) == len(set(instants))
    assert set(journal.counts().values()) == {1}


def _fewest(names: Sequence[str], executions: Sequence[Json]) -> int:
    """Return how many executions the workflow has that has the fewest."""
    counts = Counter(str(e["workflowId"]) for e in executions)
    return min(counts[name] for name in names)


async def test_stop(make_stack: MakeStack, destination: Destination, journal: Journal) -> None:
    stack = await make_stack(DRAIN=f"{STOP_SECONDS}s")
    names = [f"stopping-{number}" for number in range(30)]
    for name in names:
        await stack.create(manual(name, destination.to("/hold"), journal.action(id="second")))
    ids = [await stack.trigger(name) for name in names]

    async def held() -> int:
        return len(destination.calls)

    async def draining() -> list[Json]:
        return stack.runner.logged("runner.draining", executions=len(names))

    await eventually(held, lambda n: n == len(names))
    stopping = asyncio.create_task(stack.runner.stop())
    await eventually(draining)
    destination.held.set()
    assert await stopping == 0
    states = [await stack.execution(execution_id) for execution_id in ids]
    assert {state["status"] for state in states} <= {"queued", "completed"}
    assert all(state["actions"][0]["status"] == "completed" for state in states)
    stack.runner.start()
    for execution_id in ids:
        assert (await stack.ends(execution_id))["status"] == "completed"
    assert set(journal.counts().values()) == {1}
    assert len(destination.calls) == len(journal.runs()) == len(names)
    for service in (stack.workflows, stack.scheduler, stack.runner):
        assert await service.stop() == 0


@pytest.mark.one_broker
async def test_stop_gives_back_what_does_not_end_in_time(
    make_stack: MakeStack, destination: Destination
) -> None:
    stack = await make_stack(DRAIN="1s")
    await stack.create(manual("endless", destination.to("/hold"), retry=quick_retry()))
    execution_id = await stack.trigger("endless")

    async def calls() -> int:
        return len(destination.calls)

    await eventually(calls)
    assert await stack.runner.stop() == 0
    execution = await stack.execution(execution_id)
    assert execution["status"] == "queued"
    assert events(execution)[-1] == "released"
    destination.held.set()
    stack.runner.start()
    ended = await stack.ends(execution_id)
    assert (ended["status"], ended["recoveries"]) == ("completed", 0)
    assert ended["attempt"] == 1
