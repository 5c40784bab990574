"""Routes that halt a workflow's schedule, and let it go on."""

from http import HTTPStatus

from fastapi import APIRouter, Response

from shared.contracts.api import WorkflowView
from shared.domain.identity import DEFAULT_TENANT
from workflows_svc.api import examples
from workflows_svc.api.bodies import pause_body
from workflows_svc.api.problems import STORED, UNREADABLE, responses
from workflows_svc.api.requests import Body
from workflows_svc.api.services import Wired
from workflows_svc.api.showing import shown

router = APIRouter(prefix="/workflows/{workflow_id}", tags=["workflows"], responses=STORED)


@router.post(
    "/pause",
    response_model_exclude_none=True,
    responses=responses(*UNREADABLE, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    openapi_extra=examples.pause_body(),
    summary="Halt a workflow's schedule",
)
async def pause(workflow_id: str, body: Body, wired: Wired, response: Response) -> WorkflowView:
    """Fire nothing until it is resumed; what runs goes on, and it can be triggered by hand.

    A workflow that is paused already stays as it is, with the reason that it has.
    """
    await wired.define.pause(DEFAULT_TENANT, workflow_id, pause_body(body).reason)
    return await shown(wired, workflow_id, response)


@router.post(
    "/resume",
    response_model_exclude_none=True,
    responses=responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    summary="Let a paused workflow's schedule go on",
)
async def resume(workflow_id: str, wired: Wired, response: Response) -> WorkflowView:
    """Go on where it was paused: the latest instant that passed fires, the others are skipped.

    A workflow that is enabled stays as it is.
    """
    await wired.define.resume(DEFAULT_TENANT, workflow_id)
    return await shown(wired, workflow_id, response)
