"""The plans of the definitions that executions pin; they never change, so they are kept."""

from collections import OrderedDict
from collections.abc import Iterable

from shared.domain.execution import Execution
from shared.domain.plan import Plan
from shared.ports.workflows import VersionRef, WorkflowRepository


class Definitions:
    """A bounded cache of definition versions, filled a batch at a time."""

    def __init__(self, workflows: WorkflowRepository, capacity: int = 10_000) -> None:
        self._workflows = workflows
        self._capacity = capacity
        self._kept: OrderedDict[VersionRef, Plan] = OrderedDict()

    async def of(self, executions: Iterable[Execution]) -> dict[str, Plan]:
        """Return the plan of each execution, by execution id; missing ones are left out."""
        refs = {execution.id: _ref(execution) for execution in executions}
        missing = {ref for ref in refs.values() if ref not in self._kept}
        definitions = await self._workflows.versions(missing) if missing else {}
        found = {ref: Plan(definition) for ref, definition in definitions.items()}
        result = {}
        for execution_id, ref in refs.items():
            plan = self._kept.get(ref) or found.get(ref)
            if plan is not None:
                result[execution_id] = plan
        self._keep(found.items())
        return result

    def _keep(self, plans: Iterable[tuple[VersionRef, Plan]]) -> None:
        self._kept.update(plans)
        while len(self._kept) > self._capacity:
            self._kept.popitem(last=False)


def _ref(execution: Execution) -> VersionRef:
    return VersionRef(execution.tenant, execution.workflow_id, execution.version)
