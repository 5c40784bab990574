"""Bringing an execution where a test of the contract begins, and reading things back."""

from shared.domain.execution import Execution
from shared.domain.workflow import Workflow
from shared.ports.executions import ExecutionRepository
from shared.ports.workflows import WorkflowRepository
from tests.support.builders import NOW, TENANT, lease


async def claimed(executions: ExecutionRepository, execution: Execution) -> Execution:
    await executions.add([execution])
    (won,) = (await executions.claim([execution.id], lease(), NOW)).won
    return won


async def stored(executions: ExecutionRepository, execution: Execution) -> Execution:
    found = await executions.get(execution.tenant, execution.id)
    assert found is not None
    return found


async def stored_workflow(workflows: WorkflowRepository, workflow_id: str) -> Workflow:
    found = await workflows.get(TENANT, workflow_id)
    assert found is not None
    return found
