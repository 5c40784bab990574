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

from runner_svc.actions.flow import flow_actions
from runner_svc.metrics import RunnerMetrics
from runner_svc.registry import ActionRegistry
from runner_svc.use_cases.call import MakeCall
from runner_svc.use_cases.holding import Holding
from runner_svc.use_cases.recorder import Recorder
from runner_svc.use_cases.run import RunExecution
from shared.adapters.cel.language import CelLanguage
from shared.adapters.memory.clock import ManualClock
from shared.adapters.memory.executions import MemoryExecutions
from shared.domain.catalogue import Effect
from shared.domain.definition import ActionDefinition, WorkflowDefinition
from shared.domain.execution import Execution, Lease
from shared.domain.outcomes import Timing
from shared.domain.plan import Plan
from shared.ports.actions import Action, ActionContext, PermanentError
from shared.ports.bus import ExecutionRequest, ExecutionWakes, WorkflowFreed
from tests.support.builders import queued
from tests.unit.doubles import stored

OWNER = "me"
NO = PermanentError("no")
Act = Callable[[], Awaitable[JsonValue]]


class StepAction(ActionDefinition):
    """An action that a test scripts."""

    type: Literal["step"]
    to: JsonValue = None


class OnceAction(ActionDefinition):
    """The same, but never to be called twice for one attempt."""

    type: Literal["once"]
    to: JsonValue = None


class Script:
    """What the actions do: each in turn raises, awaits or returns what it was told."""

    def __init__(self) -> None:
        self.calls: list[ActionContext] = []
        self.given: list[JsonValue] = []
        self._acts: dict[str, deque[JsonValue | BaseException | Act]] = defaultdict(deque)

    def tell(self, action_id: str, *acts: JsonValue | BaseException | Act) -> None:
        """Say what the next calls of an action do; by default each returns `done`."""
        self._acts[action_id].extend(acts)

    @property
    def called(self) -> list[str]:
        """The ids of the actions, in the order in which they were called."""
        return [context.action_id for context in self.calls]

    async def run(self, params: StepAction | OnceAction, context: ActionContext) -> JsonValue:
        """Act."""
        self.calls.append(context)
        self.given.append(params.to)
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
    wakes: list[ExecutionWakes | WorkflowFreed] = field(default_factory=list)
    requests: list[ExecutionRequest] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    stopping: bool = False

    def __post_init__(self) -> None:
        self.metrics = RunnerMetrics(self.counters)
        self.registry = ActionRegistry(
            [
                Action(StepAction, self.script.run),
                Action(OnceAction, self.script.run, effect=Effect.AT_MOST_ONCE),
                *flow_actions(self.clock),
            ]
        )
        self.recorder = Recorder(self.executions, self.metrics, 100)
        self.run = RunExecution(
            make_call=MakeCall(self.registry, CelLanguage(), self.clock, self.environment),
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
        await self.go(await self.claim(), definition)
        return await self.stored()

    async def go(self, holding: Holding, definition: WorkflowDefinition | None) -> None:
        """Run what is held as far as it goes."""
        await self.run(holding, Plan(definition) if definition else None)

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


def node(action_id: str, *needs: str, **more: Any) -> dict[str, Any]:
    """Return an action of a graph, without retries."""
    return {"id": action_id, "needs": list(needs), "retry": {"retries": 0}, **more}


def statuses(execution: Execution) -> dict[str, str]:
    """Return how far each action got, with the reason of those that were skipped."""
    return {
        key: state.status.value + (f"/{state.reason}" if state.reason else "")
        for key, state in execution.actions.items()
    }
