"""The definition that an execution began with, and the plan that it follows by that."""

from shared.domain.definition import WorkflowDefinition
from shared.domain.execution import Execution
from shared.domain.plan import Plan
from shared.ports.workflows import VersionRef, WorkflowRepository


async def definition_of(
    workflows: WorkflowRepository, execution: Execution
) -> WorkflowDefinition | None:
    """Return the version that an execution began with, None if it is gone. Raises Unavailable."""
    ref = VersionRef(execution.tenant, execution.workflow_id, execution.version)
    return (await workflows.versions([ref])).get(ref)


async def plan_of(workflows: WorkflowRepository, execution: Execution) -> Plan | None:
    """Return the plan of an execution's version, None if it is gone. Raises Unavailable."""
    definition = await definition_of(workflows, execution)
    return Plan(definition) if definition else None
