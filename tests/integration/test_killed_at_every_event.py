"""A runner killed at every event of a branching workflow with retries and compensations.

The kill is a task that ends without another word, before or after a write; the next
runner takes over when the lease has run out. Storage and destination are real.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from prometheus_client import CollectorRegistry

from runner_svc.actions.http_request import HttpLimits, HttpRequester
from runner_svc.metrics import RunnerMetrics
from runner_svc.registry import ActionRegistry
from runner_svc.use_cases.call import MakeCall
from runner_svc.use_cases.holding import Holding
from runner_svc.use_cases.recorder import Recorder
from runner_svc.use_cases.run import RunExecution
from shared.adapters.cel.language import CelLanguage
from shared.adapters.memory.clock import ManualClock
from shared.adapters.mongo.connection import MongoConnection
from shared.adapters.mongo.executions import MongoExecutions
from shared.domain.actions import HTTP_REQUEST
from shared.domain.definition import WorkflowDefinition
from shared.domain.execution import UNFINISHED, Execution, Lease, Status
from shared.domain.fold import differences
from shared.domain.outcomes import Timing
from shared.domain.plan import Plan
from shared.ports.actions import Action
from shared.ports.executions import Change, RecordOutcome
from tests.contract.steps import stored
from tests.support.builders import definition, queued
from tests.support.destination import Destination

TIMING: Final = Timing(max_recoveries=100)


class DyingExecutions(MongoExecutions):
    """A storage whose user is killed when an event is about to be, or has just been, written."""

    def __init__(self, mongo: MongoConnection) -> None:
        super().__init__(mongo.executions)
        self.kill_at = 0
        self.before = False
        self.killed = asyncio.Event()
        self.deaths = 0

    async def record(self, changes: Sequence[Change]) -> list[RecordOutcome]:
        doomed = any(c.before.seq < self.kill_at <= c.after.seq for c in changes)
        if doomed and self.before:
            await self._die()
        outcomes = await super().record(changes)
        if doomed:
            await self._die()
        return outcomes

    async def _die(self) -> None:
        self.deaths += 1
        self.killed.set()
        await asyncio.Event().wait()


@dataclass
class Scene:
    """One execution, run by one runner after the other."""

    executions: DyingExecutions
    requester: HttpRequester
    graph: WorkflowDefinition
    clock: ManualClock = field(default_factory=ManualClock)
    runners: int = 0

    async def play(self, execution: Execution) -> Execution:
        """Run it to its end, by as many runners as it takes."""
        await self.executions.add([execution])
        while (found := await stored(self.executions, execution)).status in UNFINISHED:
            assert self.runners < 10, "it does not get on"
            self.runners += 1
            wait = found.next_attempt_at or (found.lease.until if found.lease else None)
            if wait is not None:
                await self.clock.advance(max(wait - self.clock.now(), wait - wait))
            await self._run_once(execution)
        return found

    async def _run_once(self, execution: Execution) -> None:
        now = self.clock.now()
        lease = Lease("runner", f"t{self.runners}", now + TIMING.lease)
        (won,) = (await self.executions.claim([execution.id], lease, now)).won
        metrics = RunnerMetrics(CollectorRegistry())
        recorder = Recorder(self.executions, metrics, 100)
        registry = ActionRegistry([Action.of(HTTP_REQUEST, self.requester.run)])
        run = RunExecution(
            make_call=MakeCall(registry, CelLanguage(), self.clock),
            recorder=recorder,
            clock=self.clock,
            timing=TIMING,
            metrics=metrics,
            spread=lambda: 0.5,
            is_stopping=lambda: False,
            announce=lambda _: None,
            request=lambda _: None,
        )
        recording = asyncio.ensure_future(recorder.run())
        running = asyncio.ensure_future(run(Holding.of(won), Plan(self.graph)))
        dying = asyncio.ensure_future(self.executions.killed.wait())
        await asyncio.wait({running, dying}, return_when=asyncio.FIRST_COMPLETED)
        for task in (recording, running, dying):
            task.cancel()
        await asyncio.gather(recording, running, dying, return_exceptions=True)
        if self.executions.killed.is_set():
            self.executions.killed.clear()
            self.executions.kill_at = 0


def graph(destination: Destination) -> WorkflowDefinition:
    """A and B; C needs both; D needs A; E needs C and D and fails; F handles the failure."""

    def call(name: str, path: str, *needs: str, **more: Any) -> dict[str, Any]:
        return destination.to(f"{path}?{name}", id=name, needs=list(needs), **more)

    def undo(name: str) -> list[dict[str, Any]]:
        return [destination.to(f"/ok?undo-{name}", id=f"undo-{name}")]

    retry = {"retries": 2, "backoff": {"initial": "2s", "jitter": 0}}
    return definition(
        actions=[
            call("A", "/ok", compensate=undo("A")),
            call("B", "/flaky/1", retry=retry),
            call("C", "/ok", "A", "B", compensate=undo("C")),
            call("D", "/ok", "A", forEach={"items": [1, 2]}, compensate=undo("D")),
            call("E", "/status/400", "C", "D", onError="compensate"),
            call("F", "/ok", "E", runIf="failure"),
        ]
    )


def calls_of(destination: Destination, name: str) -> Counter[tuple[str, str]]:
    """Return how often each call arrived, by what it was for and under which key."""
    return Counter(
        (next(iter(call.query), call.path), call.headers["idempotency-key"].partition(name)[2])
        for call in destination.calls
    )


def outcome(execution: Execution) -> dict[str, str]:
    return {key: state.status.value for key, state in execution.actions.items()}


@pytest.fixture
async def stage(mongo: MongoConnection) -> AsyncIterator[Scene]:
    limits = HttpLimits(allow_private=True, response_limit=10_000, body_kept=100, concurrency=10)
    async with AsyncExitStack() as stack:
        clock = ManualClock()
        requester = await stack.enter_async_context(HttpRequester(limits, {}, clock))
        yield Scene(DyingExecutions(mongo), requester, definition(), clock)


async def _played(
    stage: Scene, kill_at: int, *, before: bool
) -> tuple[Execution, Counter[tuple[str, str]]]:
    destination = Destination()
    await destination.start()
    try:
        stage.executions.kill_at, stage.executions.before = kill_at, before
        scene = Scene(stage.executions, stage.requester, graph(destination), stage.clock)
        name = f"{kill_at}-{before}"
        born = queued(name, f"w{name}", now=stage.clock.now(), retries_left=3)
        ended = await scene.play(born)
        return ended, calls_of(destination, f":{name}:")
    finally:
        await destination.stop()


@pytest.mark.parametrize("before", [False, True], ids=["after the write", "before the write"])
async def test_the_end_is_the_same_wherever_the_runner_is_killed(
    stage: Scene, *, before: bool
) -> None:
    undisturbed, expected = await _played(stage, 0, before=before)
    assert undisturbed.status is Status.FAILED
    assert outcome(undisturbed) == {
        "A": "completed",
        "B": "completed",
        "C": "completed",
        "D": "completed",
        "D[0]": "completed",
        "D[1]": "completed",
        "E": "failed",
        "F": "completed",
        "undo-A": "completed",
        "undo-C": "completed",
        "undo-D": "completed",
    }
    for seq in range(3, undisturbed.seq + 1):
        ended, calls = await _played(stage, seq, before=before)
        assert outcome(ended) == outcome(undisturbed), f"killed at event {seq}"
        assert ended.error == undisturbed.error
        assert differences(ended) == []
        assert calls.keys() == expected.keys(), f"killed at event {seq}"
        repeated = calls - expected
        assert sum(repeated.values()) <= 3, f"killed at event {seq}: {repeated}"
        if not before:
            assert sum(repeated.values()) <= 2, "only what was under way is repeated"
    assert stage.executions.deaths >= undisturbed.seq - 4, "claims are no writes to die at"
