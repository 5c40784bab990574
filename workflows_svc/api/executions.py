"""Routes on executions."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime

from shared.contracts.api import (
    ExecutionSummary,
    ExecutionView,
    Page,
    execution_summary,
    execution_view,
)
from shared.domain.errors import FieldProblem, InvalidInput
from shared.domain.execution import Status
from shared.domain.identity import DEFAULT_TENANT
from shared.domain.instants import instant
from shared.ports.executions import ExecutionQuery
from workflows_svc.api.problems import STORED, responses
from workflows_svc.api.requests import (
    CursorText,
    Limit,
    decode_cursor,
    encode_cursor,
    known_parameters,
)
from workflows_svc.api.services import Wired

router = APIRouter(prefix="/executions", tags=["executions"], responses=STORED)
_PARAMETERS = ("workflowId", "status", "from", "to", "limit", "cursor")


@router.get(
    "",
    response_model_exclude_none=True,
    dependencies=[Depends(known_parameters(*_PARAMETERS))],
    summary="List executions, newest first",
)
async def list_executions(
    wired: Wired,
    workflow_id: Annotated[str | None, Query(alias="workflowId")] = None,
    status: Annotated[
        list[Status] | None, Query(description="May be given more than once.")
    ] = None,
    created_from: Annotated[
        AwareDatetime | None, Query(alias="from", description="Created at or after, ISO 8601.")
    ] = None,
    created_to: Annotated[
        AwareDatetime | None, Query(alias="to", description="Created before, ISO 8601.")
    ] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[ExecutionSummary]:
    """Page through executions by the time they were created."""
    query = ExecutionQuery(
        tenant=DEFAULT_TENANT,
        workflow_id=workflow_id,
        statuses=frozenset(status or ()),
        created_from=_instant(created_from),
        created_to=_instant(created_to),
        after=decode_cursor(cursor),
        limit=limit + 1,
    )
    found = await wired.queries.list_executions(query)
    page = found[:limit]
    more = len(found) > limit
    return Page(
        items=[execution_summary(execution) for execution in page],
        next_cursor=encode_cursor(page[-1].created_at, page[-1].id) if more else None,
    )


@router.get(
    "/{execution_id}",
    response_model_exclude_none=True,
    responses=responses(HTTPStatus.NOT_FOUND),
    summary="Read an execution with its history",
)
async def read(execution_id: str, wired: Wired) -> ExecutionView:
    """Return the state, every action's outcome, and every event that led there."""
    return execution_view(await wired.queries.execution(DEFAULT_TENANT, execution_id))


@router.post(
    "/{execution_id}/cancel",
    response_model_exclude_none=True,
    responses=responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    summary="Cancel an unfinished execution",
)
async def cancel(execution_id: str, wired: Wired) -> ExecutionView:
    """Cancel it whatever it is doing; a running action is aborted, a later result is refused."""
    return execution_view(await wired.cancel(DEFAULT_TENANT, execution_id))


def _instant(value: datetime | None) -> datetime | None:
    try:
        return instant(value) if value else None
    except OverflowError as error:
        said = "lies before the first or after the last instant there is in UTC"
        raise InvalidInput([FieldProblem("query", said)]) from error
