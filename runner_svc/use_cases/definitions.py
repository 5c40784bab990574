"""The definitions that executions pin; they never change, so they are kept."""

from collections import OrderedDict
from collections.abc import Iterable

from shared.domain.definition import WorkflowDefinition
from shared.domain.execution import Execution
from shared.ports.workflows import VersionRef, WorkflowRepository


class Definitions:
    """A bounded cache of definition versions, filled a batch at a time."""

    def __init__(self, workflows: WorkflowRepository, capacity: int = 10_000) -> None:
        self._workflows = workflows
        self._capacity = capacity
        self._kept: OrderedDict[VersionRef, WorkflowDefinition] = OrderedDict()

    async def of(self, executions: Iterable[Execution]) -> dict[str, WorkflowDefinition]:
        """Return the definition of each execution, by execution id; missing ones are left out."""
        refs = {execution.id: _ref(execution) for execution in executions}
        missing = {ref for ref in refs.values() if ref not in self._kept}
        found = await self._workflows.versions(missing) if missing else {}
        result = {}
        for execution_id, ref in refs.items():
            definition = self._kept.get(ref) or found.get(ref)
            if definition is not None:
                result[execution_id] = definition
        self._keep(found.items())
        return result

    def _keep(self, definitions: Iterable[tuple[VersionRef, WorkflowDefinition]]) -> None:
        self._kept.update(definitions)
        while len(self._kept) > self._capacity:
            self._kept.popitem(last=False)


def _ref(execution: Execution) -> VersionRef:
    return VersionRef(execution.tenant, execution.workflow_id, execution.version)
