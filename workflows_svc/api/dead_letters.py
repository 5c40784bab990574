"""Routes on dead letters."""

from http import HTTPStatus

from fastapi import APIRouter, Depends

from shared.contracts.api import DeadLetterView, Page, dead_letter_view
from shared.ports.dead_letters import DeadLetterStatus
from workflows_svc.api.problems import STORED, responses
from workflows_svc.api.requests import (
    CursorText,
    Limit,
    decode_cursor,
    encode_cursor,
    known_parameters,
)
from workflows_svc.api.services import Wired

router = APIRouter(prefix="/dead-letters", tags=["dead letters"], responses=STORED)


@router.get(
    "",
    response_model_exclude_none=True,
    dependencies=[Depends(known_parameters("status", "limit", "cursor"))],
    summary="List messages that no runner could understand, newest first",
)
async def list_dead_letters(
    wired: Wired,
    status: DeadLetterStatus | None = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[DeadLetterView]:
    """Page through the dead letters, all or those with a status."""
    found = await wired.dead_letters.find(status, decode_cursor(cursor), limit + 1)
    page = found[:limit]
    more = len(found) > limit
    return Page(
        items=[dead_letter_view(letter, whole=False) for letter in page],
        next_cursor=encode_cursor(page[-1].received_at, page[-1].id) if more else None,
    )


@router.get(
    "/{letter_id}",
    response_model_exclude_none=True,
    responses=responses(HTTPStatus.NOT_FOUND),
    summary="Read a dead letter",
)
async def read(letter_id: str, wired: Wired) -> DeadLetterView:
    """Return the message's bytes, where it lay, and why it could not be understood."""
    return dead_letter_view(await wired.dead_letters.get(letter_id))


@router.post(
    "/{letter_id}/requeue",
    response_model_exclude_none=True,
    responses=responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    summary="Put a dead letter back onto its topic",
)
async def requeue(letter_id: str, wired: Wired) -> DeadLetterView:
    """Send the same bytes again, for instance to runners that were upgraded."""
    return dead_letter_view(await wired.dead_letters.requeue(letter_id))


@router.post(
    "/{letter_id}/discard",
    response_model_exclude_none=True,
    responses=responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    summary="Mark a dead letter as dealt with",
)
async def discard(letter_id: str, wired: Wired) -> DeadLetterView:
    """Keep it for the record until the retention removes it, but no longer list it as new."""
    return dead_letter_view(await wired.dead_letters.discard(letter_id))
