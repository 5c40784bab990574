"""What the author of a workflow should know about its trigger, though it is legal."""

from dataclasses import dataclass
from datetime import date, datetime

from shared.domain.daylight import warnings_of
from shared.domain.triggers import ForeignTrigger, ManualTrigger
from shared.domain.workflow import Workflow


@dataclass(frozen=True, slots=True)
class ScheduleWarning:
    """Something about a definition: where, what, and on which calendar dates, if any."""

    pointer: str
    message: str
    dates: tuple[date, ...] = ()


def schedule_warnings(workflow: Workflow, now: datetime) -> list[ScheduleWarning]:
    """Return what is to be said of a workflow's trigger."""
    trigger = workflow.definition.trigger
    if isinstance(trigger, ManualTrigger):
        return []
    if isinstance(trigger, ForeignTrigger):
        said = "is of a kind that this release does not know; it is kept, and fires nothing here"
        return [ScheduleWarning("/trigger", said)]
    if workflow.next_run_at is None:
        said = "has no instant to come: the workflow runs only when it is triggered by hand"
        return [ScheduleWarning("/trigger", said)]
    return [
        ScheduleWarning("/trigger/schedule", warning.message, warning.dates)
        for warning in warnings_of(trigger, now)
    ]
