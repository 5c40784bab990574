"""Removing a workflow, and on request what it is doing."""

from dataclasses import dataclass

from shared.domain.errors import NotFound
from workflows_svc.use_cases.cancel import CancelExecution
from workflows_svc.use_cases.definitions import DefineWorkflows


@dataclass(frozen=True, slots=True)
class RemoveWorkflow:
    """The command behind `DELETE /workflows/{id}`."""

    define: DefineWorkflows
    cancel: CancelExecution

    async def __call__(
        self, tenant: str, workflow_id: str, if_match: int | None, *, cancel: bool
    ) -> None:
        """Stop all further fires; with `cancel` also end its unfinished executions.

        Raises NotFound, or VersionMismatch if `if_match` is not its version.
        """
        try:
            await self.define.delete(tenant, workflow_id, if_match)
        except NotFound:
            # A repetition: the first call may have got no further than the workflow.
            if not (cancel and await self.cancel.all_of(tenant, workflow_id)):
                raise
        else:
            if cancel:
                await self.cancel.all_of(tenant, workflow_id)
