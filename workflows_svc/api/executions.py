"""Routes on executions."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime

from shared.contracts.api import Page
from shared.contracts.executions import (
    ExecutionSummary,
    ExecutionView,
    HistoryView,
    InconsistencyView,
    VerificationView,
    WhyView,
    event_view,
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


# Before the route of a single execution, whose id could be any word.
@router.get(
    "/verification",
    response_model_exclude_none=True,
    dependencies=[Depends(known_parameters("workflowId", "limit", "cursor"))],
    summary="Compare what is stored with what the histories say",
)
async def verify(
    wired: Wired,
    workflow_id: Annotated[str | None, Query(alias="workflowId")] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> VerificationView:
    """Fold the histories of a page of executions, newest first, and name those that differ."""
    query = ExecutionQuery(
        tenant=DEFAULT_TENANT, workflow_id=workflow_id, after=decode_cursor(cursor), limit=limit
    )
    found = await wired.inspect.verify(query)
    return VerificationView(
        checked=found.checked,
        inconsistent=[
            InconsistencyView(execution_id=one.execution_id, differences=list(one.differences))
            for one in found.inconsistent
        ],
        next_cursor=encode_cursor(found.last.created_at, found.last.id) if found.last else None,
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


@router.get(
    "/{execution_id}/history",
    response_model_exclude_none=True,
    responses=responses(HTTPStatus.NOT_FOUND),
    dependencies=[Depends(known_parameters("at"))],
    summary="Read the events of an execution, and its state at one of them",
)
async def history(
    execution_id: str,
    wired: Wired,
    at: Annotated[
        int | None, Query(ge=1, description="Also return the state after the event `seq`.")
    ] = None,
) -> HistoryView:
    """Return every event; with `at`, also the state that the events up to it lead to."""
    execution = await wired.queries.execution(DEFAULT_TENANT, execution_id)
    state = None if at is None else wired.inspect.state_at(execution, at)
    return HistoryView(
        execution_id=execution.id,
        events=[event_view(event) for event in execution.history],
        state=execution_view(state) if state else None,
    )


@router.get(
    "/{execution_id}/why",
    response_model_exclude_none=True,
    responses=responses(HTTPStatus.NOT_FOUND),
    summary="Ask why an execution is where it is",
)
async def why(execution_id: str, wired: Wired) -> WhyView:
    """Say in one sentence what it is waiting for, and until when."""
    execution, reason = await wired.inspect.why(DEFAULT_TENANT, execution_id)
    return WhyView(
        execution_id=execution.id,
        status=execution.status.value,
        why=reason.sentence,
        until=reason.until,
    )


def _instant(value: datetime | None) -> datetime | None:
    try:
        return instant(value) if value else None
    except OverflowError as error:
        said = "lies before the first or after the last instant there is in UTC"
        raise InvalidInput([FieldProblem("query", said)]) from error
