"""Routes on what became of the instants of a schedule."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query

from shared.contracts.api import Page
from shared.contracts.occurrences import (
    OccurrenceView,
    OccurrenceWhyView,
    occurrence_view,
    occurrence_why_view,
)
from shared.domain.errors import FieldProblem, InvalidInput
from shared.domain.identity import DEFAULT_TENANT
from shared.domain.instants import LAST, parse_instant
from shared.domain.ledger import OccurrenceOutcome, first_of
from shared.ports.ledger import OccurrenceQuery
from workflows_svc.api.problems import STORED, responses
from workflows_svc.api.requests import (
    CursorText,
    Limit,
    decode_cursor,
    encode_cursor,
    known_parameters,
)
from workflows_svc.api.services import Wired

router = APIRouter(
    prefix="/workflows/{workflow_id}/occurrences", tags=["workflows"], responses=STORED
)
_PARAMETERS: Final = ("from", "to", "outcome", "limit", "cursor")
_DAWN: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT: Final = {"format": "date-time"}


async def span(
    since: Annotated[
        str | None,
        Query(alias="from", description="At or after this instant.", json_schema_extra=_INSTANT),
    ] = None,
    until: Annotated[
        str | None,
        Query(alias="to", description="Before this instant.", json_schema_extra=_INSTANT),
    ] = None,
) -> tuple[datetime, datetime]:
    """Return what was asked for, all there is by default. Raises InvalidInput."""
    return _instant("from", since, _DAWN), _instant("to", until, LAST)


@router.get(
    "",
    response_model_exclude_none=True,
    responses=responses(HTTPStatus.NOT_FOUND),
    dependencies=[Depends(known_parameters(*_PARAMETERS))],
    summary="List what became of a workflow's instants, the latest first",
)
async def list_occurrences(
    workflow_id: str,
    wired: Wired,
    between: Annotated[tuple[datetime, datetime], Depends(span)],
    outcome: Annotated[
        list[OccurrenceOutcome] | None, Query(description="May be given more than once.")
    ] = None,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[OccurrenceView]:
    """Page through the ledger. A range that nothing ran for is one item, wherever it began.

    What is still to come is not listed, nor what is due and not dealt with yet: see the preview.
    """
    query = OccurrenceQuery(
        tenant=DEFAULT_TENANT,
        workflow_id=workflow_id,
        since=between[0],
        until=between[1],
        outcomes=frozenset(outcome or OccurrenceOutcome),
        after=decode_cursor(cursor),
        limit=limit + 1,
    )
    found = await wired.ledger.occurrences(query)
    page = found[:limit]
    more = len(found) > limit
    return Page(
        items=[occurrence_view(record) for record in page],
        next_cursor=encode_cursor(first_of(page[-1]), page[-1].id) if more else None,
    )


@router.get(
    "/{instant}/why",
    response_model_exclude_none=True,
    responses=responses(HTTPStatus.NOT_FOUND),
    summary="Ask what became of an instant, and why",
)
async def why(workflow_id: str, instant: str, wired: Wired) -> OccurrenceWhyView:
    """Answer in one sentence: it ran, it did not and why, or the timetable does not have it.

    The instant has an offset from UTC, or is a local time of the trigger's zone, such as
    `2027-03-28T02:30`.
    """
    meant, account = await wired.ledger.why(DEFAULT_TENANT, workflow_id, instant)
    return occurrence_why_view(workflow_id, meant, account)


def _instant(name: str, text: str | None, default: datetime) -> datetime:
    try:
        return default if text is None else parse_instant(text)
    except ValueError as error:
        raise InvalidInput([FieldProblem(f"query/{name}", str(error))]) from error
