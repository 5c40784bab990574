"""A runner's workbench in memory: actions that do as they are told, and what they need."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from prometheus_client import CollectorRegistry
from pydantic import JsonValue

from runner_svc.metrics import RunnerMetrics
from runner_svc.registry import ActionRegistry
from runner_svc.use_cases.holding import Holding
from runner_svc.use_cases.recorder import Recorder
from runner_svc.use_cases.run import RunExecution
from shared.adapters.memory.clock import ManualClock
from shared.adapters.memory.executions import MemoryExecutions
from shared.domain.definition import ActionDefinition, WorkflowDefinition
from shared.domain.execution import Execution, Lease
from shared.domain.progress import Timing
from shared.ports.actions import Action, ActionContext
from shared.ports.bus import ExecutionRequest, ExecutionWakes
from tests.support.builders import queued
from tests.unit.doubles import stored

OWNER = "me"
Act = Callable[[], Awaitable[JsonValue]]


class StepAction(ActionDefinition):
    """An action that a test scripts."""

    type: Literal["step"]


class Script:
    """What the actions do: each in turn raises, awaits or returns what it was told."""

    def __init__(self) -> None:
        self.calls: list[ActionContext] = []
        self._acts: dict[str, deque[JsonValue | BaseException | Act]] = defaultdict(deque)

    def tell(self, action_id: str, *acts: JsonValue | BaseException | Act) -> None:
        """Say what the next calls of an action do; by default each returns `done`."""
        self._acts[action_id].extend(acts)

    @property
    def called(self) -> list[str]:
        """The ids of the actions, in the order in which they were called."""
        return [context.action_id for context in self.calls]

    async def run(self, _: StepAction, context: ActionContext) -> JsonValue:
        """Act."""
        self.calls.append(context)
        acts = self._acts[context.action_id]
        act = acts.popleft() if acts else "done"
        if isinstance(act, BaseException):
            raise act
        return await act() if callable(act) else act


@dataclass
class Bench:
    """One runner's way of running executions."""

    timing: Timing = field(default_factory=Timing)
    clock: ManualClock = field(default_factory=ManualClock)
    executions: MemoryExecutions = field(default_factory=MemoryExecutions)
    script: Script = field(default_factory=Script)
    counters: CollectorRegistry = field(default_factory=CollectorRegistry)
    wakes: list[ExecutionWakes] = field(default_factory=list)
    requests: list[ExecutionRequest] = field(default_factory=list)
    stopping: bool = False

    def __post_init__(self) -> None:
        self.metrics = RunnerMetrics(self.counters)
        self.registry = ActionRegistry([Action(StepAction, self.script.run)])
        self.recorder = Recorder(self.executions, self.metrics, 100)
        self.run = RunExecution(
            registry=self.registry,
            recorder=self.recorder,
            clock=self.clock,
            timing=self.timing,
            metrics=self.metrics,
            spread=lambda: 0.5,
            is_stopping=lambda: self.stopping,
            announce=self.wakes.append,
            request=self.requests.append,
        )

    def definition(self, *actions: str | dict[str, Any], **more: Any) -> WorkflowDefinition:
        """Return the definition of workflow `hello` with these actions, `a` by default."""
        steps = [a if isinstance(a, dict) else {"id": a} for a in actions or ("a",)]
        return self.registry.catalogue.parse(
            {
                "workflowId": "hello",
                "trigger": {"type": "manual"},
                "actions": [{"type": "step", **step} for step in steps],
                **more,
            }
        )

    async def claim(self, execution: Execution | None = None, token: str = "t1") -> Holding:
        """Add an execution if it is new, claim it for this runner and return what is held."""
        execution = execution or queued()
        await self.executions.add([execution])
        now = self.clock.now()
        lease = Lease(OWNER, token, now + self.timing.lease)
        (won,) = (await self.executions.claim([execution.id], lease, now)).won
        return Holding.of(won)

    async def stored(self) -> Execution:
        """Return the one execution as it is stored."""
        return await stored(self.executions, queued())

    async def after(self, definition: WorkflowDefinition | None) -> Execution:
        """Claim the execution, run it as far as it goes and return what is stored then."""
        await self.run(await self.claim(), definition)
        return await self.stored()

    async def wait_for_retry(self) -> timedelta:
        """Let the backoff pass; return how long it was."""
        execution = await self.stored()
        assert execution.next_attempt_at is not None
        wait = execution.next_attempt_at - self.clock.now()
        await self.clock.advance(wait)
        return wait


@asynccontextmanager
async def working(bench: Bench) -> AsyncIterator[Bench]:
    """Let the recorder of a bench work."""
    recording = asyncio.ensure_future(bench.recorder.run())
    try:
        yield bench
    finally:
        recording.cancel()
        with suppress(asyncio.CancelledError):
            await recording


def step(action_id: str, retries: int, **backoff: Any) -> dict[str, Any]:
    """Return an action with its own retry policy, without jitter."""
    policy = {"initial": "2s", "jitter": 0, **backoff}
    return {"id": action_id, "retry": {"retries": retries, "backoff": policy}}
