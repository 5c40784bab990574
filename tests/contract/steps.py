"""Bringing an execution where a test of the contract begins, and reading it back."""

from shared.domain.execution import Execution
from shared.ports.executions import ExecutionRepository
from tests.support.builders import NOW, lease


async def claimed(executions: ExecutionRepository, execution: Execution) -> Execution:
    await executions.add([execution])
    (won,) = (await executions.claim([execution.id], lease(), NOW)).won
    return won


async def stored(executions: ExecutionRepository, execution: Execution) -> Execution:
    found = await executions.get(execution.tenant, execution.id)
    assert found is not None
    return found
