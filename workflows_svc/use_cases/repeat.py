"""Repeating an execution: from an action on (replay), or anew (rerun)."""

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import JsonValue

from shared.domain import operations
from shared.domain.execution import Execution
from shared.domain.operations import Repeat
from shared.domain.outcomes import Timing
from shared.domain.storable import check_storable
from shared.ports.clock import Clock
from workflows_svc.use_cases.pinned import Pinned
from workflows_svc.use_cases.start import StartExecution
from workflows_svc.use_cases.trigger import execution_id as id_of

_INPUT = "/input"


@dataclass(frozen=True, slots=True)
class Edited:
    """An input that takes the place of the one that the earlier execution had."""

    input: JsonValue


@dataclass(frozen=True, slots=True)
class RepeatExecution:
    """The command behind `POST /executions/{id}/replay` and `/rerun`."""

    pinned: Pinned
    clock: Clock
    timing: Timing
    new_id: Callable[[], str]
    start: StartExecution

    async def __call__(
        self,
        tenant: str,
        execution_id: str,
        *,
        action: str | None,
        edited: Edited | None,
        idempotency_key: str | None,
    ) -> tuple[Execution, bool]:
        """Queue the repetition; returns it, and True if the key had been used for it before.

        It runs the version that the earlier one ran. Raises NotFound (execution or
        action), Conflict if its workflow was deleted, and what StartExecution raises.
        """
        if edited is not None:
            check_storable(edited.input, _INPUT)
        execution = await self.pinned.execution(tenant, execution_id)
        plan = await self.pinned.plan(execution)
        workflow = await self.pinned.workflow(execution)
        how = Repeat(
            id_of(tenant, execution.workflow_id, idempotency_key, self.new_id),
            execution.input if edited is None else edited.input,
            action,
        )
        again = operations.repeat(plan, execution, how, self.clock.now(), self.timing)
        return await self.start(workflow, plan.definition, again, _INPUT)
