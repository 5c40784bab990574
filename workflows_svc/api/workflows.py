"""Routes on workflows."""

from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Response
from pydantic import JsonValue

from shared.contracts.api import Accepted, Page, WorkflowView, workflow_view
from shared.domain.errors import FieldProblem, InvalidInput
from shared.domain.identity import DEFAULT_TENANT
from shared.domain.workflow import TriggerStatus
from shared.ports.workflows import WorkflowQuery
from workflows_svc.api import examples
from workflows_svc.api.operations import accepted
from workflows_svc.api.problems import STORED, UNREADABLE, responses
from workflows_svc.api.requests import (
    Body,
    CursorText,
    IdempotencyKey,
    IfMatch,
    Limit,
    decode_name_cursor,
    encode_name_cursor,
    known_parameters,
)
from workflows_svc.api.services import Wired
from workflows_svc.api.showing import shown

_CHANGED_BY_OTHERS: Final = (
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.PRECONDITION_FAILED,
)

router = APIRouter(prefix="/workflows", tags=["workflows"], responses=STORED)


@router.post(
    "",
    status_code=HTTPStatus.CREATED,
    response_model_exclude_none=True,
    responses={
        200: {"model": WorkflowView, "description": "It exists with this very definition"},
        **responses(*UNREADABLE, HTTPStatus.CONFLICT),
    },
    openapi_extra=examples.definition_body(),
    summary="Create a workflow",
)
async def create(body: Body, wired: Wired, response: Response) -> WorkflowView:
    """Store a definition. What its trigger should be looked at for is in `warnings`."""
    workflow, created = await wired.define.create(DEFAULT_TENANT, body)
    response.status_code = HTTPStatus.CREATED if created else HTTPStatus.OK
    response.headers["Location"] = f"/workflows/{workflow.id}"
    return await shown(wired, workflow.id, response)


@router.get(
    "",
    response_model_exclude_none=True,
    dependencies=[Depends(known_parameters("triggerType", "status", "limit", "cursor"))],
    summary="List workflows by id",
)
async def list_workflows(
    wired: Wired,
    trigger_type: Annotated[
        Literal["periodic", "cron", "once", "manual"] | None, Query(alias="triggerType")
    ] = None,
    status: TriggerStatus | None = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[WorkflowView]:
    """Page through the workflows, all or those with a kind of trigger or a trigger status."""
    query = WorkflowQuery(
        tenant=DEFAULT_TENANT,
        trigger_type=trigger_type,
        after=decode_name_cursor(cursor),
        limit=limit + 1,
    )
    found = await wired.queries.list_workflows(query, status)
    page = found[:limit]
    more = len(found) > limit
    return Page(
        items=[workflow_view(state.workflow, state.holders, (), state.buffered) for state in page],
        next_cursor=encode_name_cursor(page[-1].workflow.id) if more else None,
    )


@router.get(
    "/{workflow_id}",
    response_model_exclude_none=True,
    responses=responses(HTTPStatus.NOT_FOUND),
    summary="Read a workflow",
)
async def read(workflow_id: str, wired: Wired, response: Response) -> WorkflowView:
    """Return the definition, the version (also as ETag) and the state of the trigger."""
    return await shown(wired, workflow_id, response)


@router.put(
    "/{workflow_id}",
    response_model_exclude_none=True,
    responses=responses(*UNREADABLE, *_CHANGED_BY_OTHERS),
    openapi_extra=examples.definition_body(),
    summary="Replace a workflow's definition",
)
async def replace(
    workflow_id: str, body: Body, wired: Wired, response: Response, if_match: IfMatch
) -> WorkflowView:
    """Store a new version. Running executions keep theirs; an equal definition changes nothing."""
    await wired.define.replace(DEFAULT_TENANT, workflow_id, body, if_match)
    return await shown(wired, workflow_id, response)


@router.patch(
    "/{workflow_id}",
    response_model_exclude_none=True,
    responses=responses(*UNREADABLE, *_CHANGED_BY_OTHERS),
    openapi_extra=examples.enabled_body(),
    summary="Enable or disable a workflow",
)
async def patch(
    workflow_id: str, body: Body, wired: Wired, response: Response, if_match: IfMatch
) -> WorkflowView:
    """Switch a workflow on or off; instants that pass while it is off are recorded as skipped."""
    enabled = _enabled(body)
    await wired.define.set_enabled(DEFAULT_TENANT, workflow_id, enabled=enabled, if_match=if_match)
    return await shown(wired, workflow_id, response)


@router.delete(
    "/{workflow_id}",
    status_code=HTTPStatus.NO_CONTENT,
    responses=responses(HTTPStatus.BAD_REQUEST, *_CHANGED_BY_OTHERS),
    dependencies=[Depends(known_parameters("cancel"))],
    summary="Delete a workflow",
)
async def delete(
    workflow_id: str,
    wired: Wired,
    if_match: IfMatch,
    cancel: Annotated[bool, Query(description="Also cancel its unfinished executions.")] = False,  # noqa: FBT002 - a query parameter
) -> None:
    """Stop all further fires. The history stays; what is unfinished ends by itself."""
    await wired.remove(DEFAULT_TENANT, workflow_id, if_match, cancel=cancel)


@router.post(
    "/{workflow_id}/trigger",
    status_code=HTTPStatus.ACCEPTED,
    responses=responses(*UNREADABLE, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    openapi_extra=examples.input_body(),
    summary="Run a workflow now",
)
async def trigger(
    workflow_id: str, body: Body, wired: Wired, response: Response, key: IdempotencyKey
) -> Accepted:
    """Queue an execution, or buffer it; the JSON body, if any, is its input."""
    execution, replayed = await wired.trigger(DEFAULT_TENANT, workflow_id, body, key)
    return accepted(execution, response, replayed=replayed)


def _enabled(body: JsonValue) -> bool:
    if not isinstance(body, dict) or "enabled" not in body:
        raise InvalidInput([FieldProblem("/enabled", "is required: true or false")])
    wrong: list[FieldProblem] = [
        FieldProblem(f"/{name}", "is not a known field; PUT changes the definition")
        for name in body
        if name != "enabled"
    ]
    enabled: Any = body["enabled"]
    if not isinstance(enabled, bool):
        wrong.append(FieldProblem("/enabled", "must be true or false"))
    if wrong:
        raise InvalidInput(wrong)
    return bool(enabled)
