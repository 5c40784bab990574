"""Triggering a workflow by hand."""

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import JsonValue

from shared.domain.errors import NotFound
from shared.domain.execution import Execution
from shared.domain.identity import fingerprint, idempotent_id, manual_id
from shared.domain.manual import Asked, manual
from shared.domain.outcomes import Timing
from shared.domain.storable import check_storable
from shared.domain.workflow import Workflow
from shared.ports.clock import Clock
from shared.ports.workflows import WorkflowRepository
from workflows_svc.use_cases.start import StartExecution


@dataclass(frozen=True, slots=True)
class TriggerWorkflow:
    """The command behind `POST /workflows/{id}/trigger`."""

    workflows: WorkflowRepository
    clock: Clock
    timing: Timing
    new_id: Callable[[], str]
    start: StartExecution

    async def __call__(
        self, tenant: str, workflow_id: str, given: JsonValue, idempotency_key: str | None
    ) -> tuple[Execution, bool]:
        """Queue an execution; returns it, and True if the key had been used for it before.

        Raises NotFound, and what StartExecution raises.
        """
        check_storable(given)
        workflow = await self.workflows.get(tenant, workflow_id)
        if workflow is None or workflow.deleted_at is not None:
            raise NotFound("workflow", workflow_id)
        execution = self._execution(workflow, given, idempotency_key)
        return await self.start(workflow, workflow.definition, execution)

    def _execution(self, workflow: Workflow, given: JsonValue, key: str | None) -> Execution:
        asked = Asked(
            id=execution_id(workflow.tenant, workflow.id, key, self.new_id),
            input=given,
            fingerprint=fingerprint(given) if key is not None else None,
        )
        now = self.clock.now()
        return manual(
            workflow.definition, workflow.tenant, workflow.version, asked, now, self.timing
        )


def execution_id(
    tenant: str, workflow_id: str, idempotency_key: str | None, new_id: Callable[[], str]
) -> str:
    """Return the id of a manual execution: that of its Idempotency-Key, else one of its own."""
    if idempotency_key is None:
        return manual_id(tenant, workflow_id, new_id())
    return idempotent_id(tenant, workflow_id, idempotency_key)
