"""The route that runs instants that have passed."""

from http import HTTPStatus

from fastapi import APIRouter

from shared.contracts.backfills import BackfillView, backfill_view
from shared.domain.identity import DEFAULT_TENANT
from workflows_svc.api import examples
from workflows_svc.api.bodies import backfill_body
from workflows_svc.api.problems import STORED, UNREADABLE, responses
from workflows_svc.api.requests import Body
from workflows_svc.api.services import Wired

router = APIRouter(prefix="/workflows/{workflow_id}", tags=["workflows"], responses=STORED)


@router.post(
    "/backfill",
    response_model_exclude_none=True,
    responses=responses(*UNREADABLE, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    openapi_extra=examples.backfill_body(),
    summary="Run the instants of a range that has passed",
)
async def backfill(workflow_id: str, body: Body, wired: Wired) -> BackfillView:
    """Go through the present timetable, from `from` on and before `to`.

    `existing` says what is run again of that for which something ran already: `none` of it,
    what `failed`, or `all`. A range may have 1,000 instants. They wait for their turn, and
    run in their order as the workflow has a slot free. What the schedule has not dealt with
    yet is left to it. With `dryRun` nothing is run.
    """
    asked = backfill_body(body)
    act = wired.plan_backfill if asked.dry_run else wired.backfill
    plan = await act(DEFAULT_TENANT, workflow_id, asked.since, asked.until, asked.existing)
    return backfill_view(workflow_id, plan, dry_run=asked.dry_run)
