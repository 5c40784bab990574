"""The shapes of the HTTP API: what a caller sees of the ledger."""

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from shared.contracts.cloudevents import Instant
from shared.contracts.schedules import PauseView, pause_view
from shared.contracts.views import View
from shared.domain.execution import Execution
from shared.domain.ledger import first_of, last_of, outcome_of
from shared.domain.question import Account


class OccurrenceView(View):
    """What became of one instant of a schedule, or of a range of them that nothing ran for.

    Or else of local times that the clocks jumped over: `at` is just before they did.
    """

    at: Annotated[Instant, Field(description="The instant, or the first one of a range.")]
    to: Annotated[Instant | None, Field(description="The last one of a range.")] = None
    count: Annotated[
        int, Field(description="How many instants, or local times in a gap, it stands for.")
    ] = 1
    trigger: str
    outcome: Annotated[str, Field(examples=["fired", "skipped", "buffered"])]
    reason: Annotated[
        str | None, Field(description="Why it was skipped.", examples=["overlap", "paused"])
    ] = None
    paused: Annotated[PauseView | None, Field(description="The pause that it was skipped for.")] = (
        None
    )
    execution_id: str
    status: Annotated[str, Field(description="The status of the execution.")]
    lateness_ms: Annotated[
        int | None, Field(description="From the instant to the start of the execution.")
    ] = None


class OccurrenceWhyView(View):
    """What became of one instant, in a sentence."""

    workflow_id: str
    instant: Instant
    why: Annotated[
        str,
        Field(examples=["It did not run (disabled): the workflow was disabled when it was due."]),
    ]
    occurrence: Annotated[
        OccurrenceView | None, Field(description="The record, if there is one.")
    ] = None
    before: Annotated[
        Instant | None, Field(description="The nearest instant before, if it is none itself.")
    ] = None
    after: Annotated[Instant | None, Field(description="The nearest instant after.")] = None


def occurrence_view(record: Execution) -> OccurrenceView:
    """Show a record of the ledger."""
    skip, late = record.skip, record.lateness
    return OccurrenceView(
        at=first_of(record),
        to=last_of(record) if last_of(record) > first_of(record) else None,
        count=skip.count if skip else 1,
        trigger=record.trigger_id,
        outcome=outcome_of(record).value,
        reason=skip.reason.value if skip else None,
        paused=pause_view(skip.paused) if skip else None,
        execution_id=record.id,
        status=record.status.value,
        lateness_ms=late // timedelta(milliseconds=1) if late is not None else None,
    )


def occurrence_why_view(workflow_id: str, instant: datetime, account: Account) -> OccurrenceWhyView:
    """Show what became of an instant."""
    moment = account.moment
    return OccurrenceWhyView(
        workflow_id=workflow_id,
        instant=instant,
        why=account.sentence,
        occurrence=occurrence_view(account.record) if account.record else None,
        before=moment.before if moment else None,
        after=moment.after if moment else None,
    )
