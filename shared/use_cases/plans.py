"""The plan that an execution follows: that of the version it began with."""

from shared.domain.execution import Execution
from shared.domain.plan import Plan
from shared.ports.workflows import VersionRef, WorkflowRepository


async def plan_of(workflows: WorkflowRepository, execution: Execution) -> Plan | None:
    """Return the plan of an execution's version, None if it is gone. Raises Unavailable."""
    ref = VersionRef(execution.tenant, execution.workflow_id, execution.version)
    definition = (await workflows.versions([ref])).get(ref)
    return Plan(definition) if definition else None
