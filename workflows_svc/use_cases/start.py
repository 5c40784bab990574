"""Starting an execution because somebody asks: triggered, replayed or rerun.

The insert itself is the guard against a second one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shared.domain.definition import WorkflowDefinition
from shared.domain.errors import (
    IdempotencyKeyReused,
    InvalidInput,
    PlatformError,
    WorkflowDisabled,
)
from shared.domain.execution import Execution, Status
from shared.domain.workflow import Workflow
from shared.ports.bus import ExecutionRequest, WorkflowFreed
from shared.ports.executions import AddOutcome
from shared.ports.inputs import InputValidator
from shared.use_cases.admission import Wanted, admit
from workflows_svc.use_cases.pinned import Pinned, Request, busy, contended

_ATTEMPTS: Final = 20


@dataclass(frozen=True, slots=True)
class StartExecution:
    """Adds an execution that is queued, or buffered, and tells those who take it from there."""

    pinned: Pinned
    inputs: InputValidator
    request: Request
    announce: Callable[[WorkflowFreed], None]

    async def __call__(
        self,
        workflow: Workflow,
        definition: WorkflowDefinition,
        execution: Execution,
        input_pointer: str = "",
    ) -> tuple[Execution, bool]:
        """Return the execution, and True if its key had been used for the same request before.

        Raises InvalidInput, WorkflowDisabled, WorkflowBusy if the workflow has no
        room for another execution, and IdempotencyKeyReused if the key came with another
        request. What the key started earlier wins over every other refusal.
        """
        try:
            self._check(workflow, definition, execution, input_pointer)
        except (WorkflowDisabled, InvalidInput) as refusal:
            return await self._earlier_or(execution, refusal)
        policy = workflow.policy
        for _ in range(_ATTEMPTS):
            (found,) = await admit(self.pinned.executions, [Wanted(execution, policy)])
            if found.outcome is AddOutcome.ADDED:
                self._tell(found.execution)
                return found.execution, False
            holder = await self.pinned.holder(workflow)
            if found.outcome is AddOutcome.DUPLICATE or holder:
                taken = (
                    busy(workflow.id, holder, policy.places) if holder else contended(workflow.id)
                )
                return await self._earlier_or(execution, taken)
        raise contended(workflow.id)

    def _tell(self, added: Execution) -> None:
        """Ask a runner to take it, or schedulers to see to it that it gets its turn."""
        if added.status is Status.BUFFERED:
            self.announce(WorkflowFreed(added.tenant, added.workflow_id))
        else:
            self.request(request_for(added))

    def _check(
        self,
        workflow: Workflow,
        definition: WorkflowDefinition,
        execution: Execution,
        input_pointer: str,
    ) -> None:
        if not workflow.takes_triggers:
            raise WorkflowDisabled(workflow.id)
        if definition.input_schema is not None:
            self.inputs.check_input(definition.input_schema, execution.input, input_pointer)

    async def _earlier_or(
        self, execution: Execution, refusal: PlatformError
    ) -> tuple[Execution, bool]:
        """Return what the same key started earlier; without one, raise the refusal."""
        if execution.request_fingerprint is None:
            raise refusal
        earlier = await self.pinned.executions.get(execution.tenant, execution.id)
        if earlier is None:
            raise refusal
        if earlier.request_fingerprint != execution.request_fingerprint:
            raise IdempotencyKeyReused(earlier.id)
        return earlier, True


def request_for(execution: Execution) -> ExecutionRequest:
    """Return what asks a runner to take an execution that has just been queued."""
    return ExecutionRequest(
        execution.id, execution.tenant, execution.workflow_id, execution.history[-1].at
    )
