"""Routes that change executions, or repeat them."""

from http import HTTPStatus
from typing import Final

from fastapi import APIRouter, Response

from shared.contracts.api import Accepted
from shared.contracts.executions import ExecutionView, execution_view
from shared.domain.execution import EventType, Execution
from shared.domain.identity import DEFAULT_TENANT
from workflows_svc.api import examples
from workflows_svc.api.bodies import ReplayBody, RerunBody, read_body, resolve_body
from workflows_svc.api.problems import STORED, UNREADABLE, responses
from workflows_svc.api.requests import Body, IdempotencyKey
from workflows_svc.api.services import Wired

_REFUSED: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)

router = APIRouter(prefix="/executions/{execution_id}", tags=["executions"], responses=STORED)


@router.post(
    "/cancel",
    response_model_exclude_none=True,
    responses=responses(*_REFUSED),
    summary="Cancel an unfinished execution",
)
async def cancel(execution_id: str, wired: Wired) -> ExecutionView:
    """Cancel it whatever it is doing; a running action is aborted, a later result is refused.

    If something is to be undone, a runner does that first; `ending` says so.
    """
    return execution_view(await wired.cancel(DEFAULT_TENANT, execution_id))


@router.post(
    "/actions/{action}/resolve",
    response_model_exclude_none=True,
    responses=responses(*UNREADABLE, *_REFUSED),
    openapi_extra=examples.resolve_body(),
    summary="Answer whether a call with an unknown outcome happened",
)
async def resolve(execution_id: str, action: str, body: Body, wired: Wired) -> ExecutionView:
    """Say that it happened (with its output), that it did not, or have the call made again."""
    answer = resolve_body(body)
    return execution_view(
        await wired.resolve(DEFAULT_TENANT, execution_id, action, answer.resolution, answer.output)
    )


@router.post(
    "/retry",
    response_model_exclude_none=True,
    responses=responses(*_REFUSED),
    summary="Let a failed execution go on",
)
async def retry(execution_id: str, wired: Wired) -> ExecutionView:
    """Queue it again: what succeeded stays, what failed is tried anew with all its retries."""
    return execution_view(await wired.retry(DEFAULT_TENANT, execution_id))


@router.post(
    "/replay",
    status_code=HTTPStatus.ACCEPTED,
    responses=responses(*UNREADABLE, *_REFUSED),
    openapi_extra=examples.replay_body(),
    summary="Repeat an execution from an action on",
)
async def replay(
    execution_id: str, body: Body, wired: Wired, response: Response, key: IdempotencyKey
) -> Accepted:
    """Queue a new execution that reuses what does not depend on the action."""
    given = read_body(ReplayBody, body)
    execution, replayed = await wired.repeat(
        DEFAULT_TENANT,
        execution_id,
        action=given.from_action,
        edited=given.edited,
        idempotency_key=key,
    )
    return accepted(execution, response, replayed=replayed)


@router.post(
    "/rerun",
    status_code=HTTPStatus.ACCEPTED,
    responses=responses(*UNREADABLE, *_REFUSED),
    openapi_extra=examples.rerun_body(),
    summary="Repeat an execution from its beginning",
)
async def rerun(
    execution_id: str, body: Body, wired: Wired, response: Response, key: IdempotencyKey
) -> Accepted:
    """Queue a new execution of the same version, with the same input unless one is given."""
    given = read_body(RerunBody, {} if body is None else body)
    execution, replayed = await wired.repeat(
        DEFAULT_TENANT, execution_id, action=None, edited=given.edited, idempotency_key=key
    )
    return accepted(execution, response, replayed=replayed)


def accepted(execution: Execution, response: Response, *, replayed: bool) -> Accepted:
    """Answer that an execution is queued, or buffered, and where it is found."""
    response.headers["Location"] = f"/executions/{execution.id}"
    if replayed:
        response.headers["Idempotent-Replayed"] = "true"
    # The answer to the same request, sent again later, is the same.
    waits = execution.history[0].type is EventType.BUFFERED
    return Accepted(execution_id=execution.id, status="buffered" if waits else "queued")
