"""Routes on the instants of workflows."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime

from shared.contracts.schedules import PreviewView, preview_view
from shared.domain.identity import DEFAULT_TENANT
from shared.domain.instants import instant
from workflows_svc.api.problems import STORED, responses
from workflows_svc.api.requests import known_parameters
from workflows_svc.api.services import Wired

router = APIRouter(prefix="/workflows", tags=["workflows"], responses=STORED)


@router.get(
    "/{workflow_id}/preview",
    responses=responses(HTTPStatus.NOT_FOUND),
    dependencies=[Depends(known_parameters("from", "count"))],
    summary="List the next instants of a workflow",
)
async def preview(
    workflow_id: str,
    wired: Wired,
    since: Annotated[
        AwareDatetime | None,
        Query(alias="from", description="List those after this instant; by default, after now."),
    ] = None,
    count: Annotated[int, Query(ge=1, le=1000, description="How many to return at most.")] = 10,
) -> PreviewView:
    """Return when the trigger fires, computed as the scheduler does; fewer if it ends before."""
    asked: datetime | None = None if since is None else instant(since)
    workflow, instants = await wired.preview.instants(DEFAULT_TENANT, workflow_id, asked, count)
    return preview_view(workflow, instants)
