"""Answering with a workflow as it is now."""

from fastapi import Response

from shared.contracts.api import WorkflowView, workflow_view
from shared.domain.identity import DEFAULT_TENANT
from workflows_svc.api.services import Services


async def shown(wired: Services, workflow_id: str, response: Response) -> WorkflowView:
    """Return a workflow and the state of its trigger; its version is the ETag. Raises NotFound."""
    workflow = await wired.define.get(DEFAULT_TENANT, workflow_id)
    response.headers["ETag"] = f'"{workflow.version}"'
    state = await wired.queries.state_of(workflow)
    warnings = wired.preview.warnings(workflow, await wired.queries.recent(workflow))
    return workflow_view(state.workflow, state.holders, warnings, state.buffered)
