"""Routes on the instants of workflows."""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query

from shared.contracts.schedules import PreviewView, preview_view
from shared.domain.durations import parse_positive_duration
from shared.domain.errors import FieldProblem, InvalidInput
from shared.domain.identity import DEFAULT_TENANT
from shared.domain.instants import parse_instant
from workflows_svc.api.problems import STORED, responses
from workflows_svc.api.requests import known_parameters
from workflows_svc.api.services import Wired

router = APIRouter(prefix="/workflows", tags=["workflows"], responses=STORED)


async def instant_from(
    text: Annotated[
        str | None,
        Query(
            alias="from",
            description="List those after this instant; by default, after now. "
            "Instants before now are not listed: see the executions.",
            json_schema_extra={"format": "date-time"},
        ),
    ] = None,
) -> datetime | None:
    """Return what was asked for. Raises InvalidInput for what is no instant."""
    try:
        return None if text is None else parse_instant(text)
    except ValueError as error:
        raise InvalidInput([FieldProblem("query/from", str(error))]) from error


async def assumed_duration(
    text: Annotated[
        str | None,
        Query(
            alias="duration",
            description="How long an execution is assumed to take, from 1ms to 365 days; by "
            "default, as long as the recent ones took (their median).",
            examples=["90s"],
        ),
    ] = None,
) -> timedelta | None:
    """Return what was asked for. Raises InvalidInput for what is no duration, or 0."""
    try:
        return None if text is None else parse_positive_duration(text)
    except ValueError as error:
        raise InvalidInput([FieldProblem("query/duration", str(error))]) from error


@router.get(
    "/{workflow_id}/preview",
    response_model_exclude_none=True,
    responses=responses(HTTPStatus.NOT_FOUND),
    dependencies=[Depends(known_parameters("from", "count", "duration"))],
    summary="List the next instants of a workflow, and what is to be expected of them",
)
async def preview(
    workflow_id: str,
    wired: Wired,
    since: Annotated[datetime | None, Depends(instant_from)],
    duration: Annotated[timedelta | None, Depends(assumed_duration)],
    count: Annotated[int, Query(ge=1, le=1000, description="How many to return at most.")] = 10,
) -> PreviewView:
    """Return when its triggers fire, computed as the scheduler does; fewer if they end before.

    Each says what its `overlap` makes of it, if executions take as long as is assumed. Nothing is
    due any more after the year 2999.
    """
    found = await wired.preview.instants(DEFAULT_TENANT, workflow_id, since, count, duration)
    return preview_view(found)
