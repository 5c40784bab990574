"""The commands and questions of the API in memory, and a runner's hand to play."""

from collections.abc import Mapping
from itertools import count
from typing import Any

from pydantic import JsonValue

from shared.adapters.cel.language import CelLanguage
from shared.adapters.json_schema.validator import JsonSchemaValidator
from shared.adapters.memory.clock import ManualClock
from shared.adapters.memory.executions import MemoryExecutions
from shared.adapters.memory.workflows import MemoryWorkflows
from shared.domain import engine
from shared.domain.execution import ErrorCategory, Execution, Lease, Status
from shared.domain.landing import after_call
from shared.domain.outcomes import Attempt, Failed, Outcome, Succeeded, Timing
from shared.ports.bus import ExecutionRequest, Notice
from shared.ports.executions import Change, RecordOutcome
from tests.support.builders import CATALOGUE, SECOND, TENANT
from workflows_svc.use_cases.cancel import CancelExecution
from workflows_svc.use_cases.change import ChangeExecution
from workflows_svc.use_cases.definitions import DefineWorkflows
from workflows_svc.use_cases.inspect import InspectExecutions
from workflows_svc.use_cases.pinned import Pinned
from workflows_svc.use_cases.queries import Queries, WorkflowState
from workflows_svc.use_cases.remove import RemoveWorkflow
from workflows_svc.use_cases.repeat import RepeatExecution
from workflows_svc.use_cases.retry import ResolveAction, RetryExecution
from workflows_svc.use_cases.start import StartExecution
from workflows_svc.use_cases.trigger import TriggerWorkflow

RUNNER = "runner"
Json = dict[str, Any]


def log(action_id: str, **more: Any) -> Json:
    """Return the definition of an action."""
    return {"id": action_id, "type": "log", "message": "x", "retry": {"retries": 0}, **more}


def undone(action_id: str, **more: Any) -> Json:
    """Return the definition of an action that has a compensation."""
    return log(action_id, compensate=[log(f"undo-{action_id}")], **more)


class Desk:
    """The use cases of the workflows service; what they send is kept in lists."""

    def __init__(self, executions: MemoryExecutions | None = None) -> None:
        self.clock, self.timing = ManualClock(), Timing()
        self.executions = executions or MemoryExecutions()
        self.workflows = MemoryWorkflows()
        self.requests: list[ExecutionRequest] = []
        self.notices: list[Notice] = []
        self._wire(JsonSchemaValidator(), count())

    def _wire(self, inputs: JsonSchemaValidator, numbers: "count[int]") -> None:
        clock, timing = self.clock, self.timing
        self.pinned = Pinned(self.workflows, self.executions)
        change = ChangeExecution(self.pinned)
        start = StartExecution(self.pinned, inputs, self.requests.append, self.notices.append)
        self.define = DefineWorkflows(
            self.workflows,
            self.executions,
            CATALOGUE,
            inputs,
            clock,
            timing,
            lambda _: None,
            CelLanguage(),
        )
        self.cancel = CancelExecution(
            change, clock, timing, self.notices.append, self.requests.append
        )
        self.remove = RemoveWorkflow(self.define, self.cancel)
        self.retry = RetryExecution(change, clock, self.requests.append)
        self.resolve = ResolveAction(change, clock, self.requests.append)
        self.inspect = InspectExecutions(self.pinned, clock)

        def new_id() -> str:
            return f"n{next(numbers)}"

        self.trigger = TriggerWorkflow(self.workflows, clock, timing, new_id, start)
        self.repeat = RepeatExecution(self.pinned, clock, timing, new_id, start)

    async def create(self, *actions: Json, **more: Any) -> None:
        """Create the workflow `hello`."""
        trigger = {"type": "manual"}
        document = {"workflowId": "hello", "trigger": trigger, "actions": [*actions], **more}
        await self.define.create(TENANT, document)

    async def triggered(self, given: JsonValue = None) -> str:
        """Trigger `hello`; returns the execution's id. The request to run it is forgotten."""
        execution, _ = await self.trigger(TENANT, "hello", given, None)
        self.requests.clear()
        return execution.id

    async def state(self) -> WorkflowState:
        """Return `hello` with what holds it."""
        queries = Queries(self.workflows, self.executions)
        return await queries.state_of(await self.define.get(TENANT, "hello"))

    async def stored(self, execution_id: str) -> Execution:
        """Return an execution as it is stored."""
        return await self.pinned.execution(TENANT, execution_id)

    async def claimed(self, execution_id: str) -> Execution:
        """Put an execution into the hands of a runner."""
        now = self.clock.now()
        lease = Lease(RUNNER, f"token-{now}", now + self.timing.lease)
        (won,) = (await self.executions.claim([execution_id], lease, now)).won
        return won

    async def run(self, execution_id: str, outcomes: Mapping[str, Outcome] = {}) -> Execution:
        """Run an execution as far as it goes; calls succeed unless `outcomes` says otherwise."""
        before = execution = await self.claimed(execution_id)
        plan, now = await self.pinned.plan(execution), self.clock.now()
        while execution.status is Status.RUNNING:
            execution = engine.advance(plan, execution, (), now, self.timing)
            calls = engine.next_calls(plan, execution, (), now)
            for call in calls:
                outcome = outcomes.get(call.key, Succeeded({"of": call.key}))
                attempt = Attempt(call, now, now, outcome)
                execution = after_call(plan, execution, attempt, 0.5)
            if not calls and execution.status is Status.RUNNING:
                execution = engine.suspend(plan, execution, now)
        assert await self.executions.record([Change(before, execution)]) == [RecordOutcome.APPLIED]
        return await self.stored(execution_id)

    async def failed(self, *actions: Json, at: str, given: JsonValue = None) -> Execution:
        """Return an execution of `hello` that failed at an action."""
        await self.create(*actions)
        return await self.run(await self.triggered(given), {at: broken()})

    async def tick(self) -> None:
        """Let a second pass."""
        await self.clock.advance(SECOND)

    def asked(self) -> list[str]:
        """Return which executions runners were asked to take, in order."""
        return [request.execution_id for request in self.requests]


def broken(message: str = "no") -> Failed:
    """Return a failure that no retry mends."""
    return Failed(ErrorCategory.PERMANENT, message)
