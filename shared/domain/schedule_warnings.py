"""What the author of a workflow should know about its trigger, though it is legal."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from shared.domain.daylight import warnings_of
from shared.domain.due import next_fires
from shared.domain.trigger_ids import AnyTrigger
from shared.domain.triggers import ForeignTrigger, ManualTrigger
from shared.domain.workflow import Workflow

_ONLY: Final = "/trigger"
_OVER: Final = "has no instant to come: the workflow runs only when it is triggered by hand"
_ONE_IS_OVER: Final = "has no instant to come: it fires nothing"


@dataclass(frozen=True, slots=True)
class ScheduleWarning:
    """Something about a definition: where, what, and on which calendar dates, if any."""

    pointer: str
    message: str
    dates: tuple[date, ...] = ()


def schedule_warnings(
    workflow: Workflow, now: datetime, until: datetime | None = None
) -> list[ScheduleWarning]:
    """Return what is to be said of a workflow's triggers, of the clocks by default for years."""
    several, fires = workflow.definition.triggers is not None, next_fires(workflow)
    return [
        warning
        for position, (name, trigger) in enumerate(workflow.definition.all_triggers.items())
        for warning in _warnings(
            trigger,
            f"/triggers/{position}" if several else _ONLY,
            (now, until),
            is_over=name not in fires,
        )
    ]


def _warnings(
    trigger: AnyTrigger,
    pointer: str,
    span: tuple[datetime, datetime | None],
    *,
    is_over: bool,
) -> list[ScheduleWarning]:
    if isinstance(trigger, ManualTrigger):
        return []
    if isinstance(trigger, ForeignTrigger):
        said = "is of a kind that this release does not know; it is kept, and fires nothing here"
        return [ScheduleWarning(pointer, said)]
    if is_over:
        return [ScheduleWarning(pointer, _OVER if pointer == _ONLY else _ONE_IS_OVER)]
    return [
        ScheduleWarning(f"{pointer}/schedule", warning.message, warning.dates)
        for warning in warnings_of(trigger, *span)
    ]
