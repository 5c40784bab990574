"""The shapes of the HTTP API: what a caller sees of a backfill."""

from typing import Annotated

from pydantic import Field

from shared.contracts.cloudevents import Instant
from shared.contracts.views import View
from shared.domain.backfill import BackfillPlan


class BackfillItem(View):
    """An instant that is run, or would be."""

    at: Instant
    trigger: str
    execution_id: Annotated[str, Field(description="What its execution is called.")]
    last_execution_id: Annotated[
        str | None, Field(description="What ran for this instant last, if anything did.")
    ] = None
    last_status: str | None = None


class BackfillView(View):
    """What a backfill runs, or would run, the earliest instant first."""

    workflow_id: str
    dry_run: bool
    items: list[BackfillItem]
    left: Annotated[
        int, Field(description="For how many instants nothing is run, as something ran already.")
    ]
    owed: Annotated[
        int,
        Field(
            description="How many instants are left to the schedule, which still has them to do."
        ),
    ]


def backfill_view(workflow_id: str, plan: BackfillPlan, *, dry_run: bool) -> BackfillView:
    """Show the plan of a backfill, carried out or not."""
    return BackfillView(
        workflow_id=workflow_id,
        dry_run=dry_run,
        items=[
            BackfillItem(
                at=run.instant,
                trigger=run.trigger_id,
                execution_id=run.execution_id,
                last_execution_id=run.last.id if run.last else None,
                last_status=run.last.status.value if run.last else None,
            )
            for run in plan.runs
        ],
        left=plan.left,
        owed=plan.owed,
    )
