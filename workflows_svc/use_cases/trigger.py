"""Triggering a workflow by hand. The insert itself is the guard against a second one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from shared.domain import transitions
from shared.domain.errors import (
    Conflict,
    IdempotencyKeyReused,
    NotFound,
    WorkflowBusy,
    WorkflowDisabled,
)
from shared.domain.execution import Execution, Status
from shared.domain.identity import fingerprint, idempotent_id, manual_id
from shared.domain.outcomes import Timing
from shared.domain.plan import deadline, initial_retries
from shared.domain.storable import check_storable
from shared.domain.workflow import Workflow, trigger_status
from shared.ports.bus import ExecutionRequest
from shared.ports.clock import Clock
from shared.ports.executions import AddOutcome, ExecutionRepository
from shared.ports.workflows import WorkflowRepository

_ATTEMPTS: Final = 20


@dataclass(frozen=True, slots=True)
class TriggerWorkflow:
    """The command behind `POST /workflows/{id}/trigger`."""

    workflows: WorkflowRepository
    executions: ExecutionRepository
    clock: Clock
    timing: Timing
    new_id: Callable[[], str]
    request: Callable[[ExecutionRequest], None]

    async def __call__(
        self, tenant: str, workflow_id: str, given: JsonValue, idempotency_key: str | None
    ) -> tuple[Execution, bool]:
        """Queue an execution; returns it, and True if the key had been used for it before.

        Raises NotFound, InvalidInput, WorkflowDisabled, WorkflowBusy while another
        execution holds the workflow, and IdempotencyKeyReused if the key came
        with another input. A replay wins over busy and over disabled.
        """
        check_storable(given)
        workflow = await self._workflow(tenant, workflow_id)
        execution = self._execution(workflow, given, idempotency_key)
        if not workflow.enabled:
            return await self._replay_or(execution, WorkflowDisabled(workflow_id))
        for _ in range(_ATTEMPTS):
            (outcome,) = await self.executions.add([execution])
            if outcome is AddOutcome.ADDED:
                self._announce(execution)
                return execution, False
            holder = (await self.executions.active([workflow.key])).get(workflow.key)
            if outcome is AddOutcome.DUPLICATE or holder:
                return await self._replay_or(execution, _busy(workflow_id, holder))
        raise _contended(workflow_id)

    async def _workflow(self, tenant: str, workflow_id: str) -> Workflow:
        workflow = await self.workflows.get(tenant, workflow_id)
        if workflow is None or workflow.deleted_at is not None:
            raise NotFound("workflow", workflow_id)
        return workflow

    def _execution(self, workflow: Workflow, given: JsonValue, key: str | None) -> Execution:
        now = self.clock.now()
        execution_id = (
            manual_id(workflow.tenant, workflow.id, self.new_id())
            if key is None
            else idempotent_id(workflow.tenant, workflow.id, key)
        )
        born = Execution(
            id=execution_id,
            tenant=workflow.tenant,
            workflow_id=workflow.id,
            version=workflow.version,
            trigger_id="manual",
            status=Status.QUEUED,
            created_at=now,
            deadline=deadline(workflow.definition, now),
            input=given,
            request_fingerprint=fingerprint(given) if key is not None else None,
            retries_left=initial_retries(workflow.definition),
            active_key=workflow.key,
        )
        return transitions.queue(born, now + self.timing.resend)

    async def _replay_or(self, execution: Execution, refusal: Conflict) -> tuple[Execution, bool]:
        """Return what the same key started earlier; without one, raise the refusal."""
        if execution.request_fingerprint is None:
            raise refusal
        earlier = await self.executions.get(execution.tenant, execution.id)
        if earlier is None:
            raise refusal
        if earlier.request_fingerprint != execution.request_fingerprint:
            raise IdempotencyKeyReused(earlier.id)
        return earlier, True

    def _announce(self, execution: Execution) -> None:
        self.request(
            ExecutionRequest(
                execution.id, execution.tenant, execution.workflow_id, execution.created_at
            )
        )


def _busy(workflow_id: str, holder: Execution | None) -> Conflict:
    if holder is None:
        return _contended(workflow_id)
    return WorkflowBusy(
        workflow_id,
        status=trigger_status(holder).value,
        execution_id=holder.id,
        retries_left=holder.retries_left,
        next_attempt_at=holder.next_attempt_at,
    )


def _contended(workflow_id: str) -> Conflict:
    return Conflict(f"Workflow '{workflow_id}' is being triggered by many at once; try again.")
