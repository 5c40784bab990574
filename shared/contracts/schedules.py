"""What the API says of schedules: the instants to come, and what its author should know."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated

from pydantic import Field

from shared.contracts.cloudevents import Instant
from shared.contracts.views import View
from shared.domain.pause import Pause
from shared.domain.schedule_warnings import ScheduleWarning
from shared.domain.trigger_fields import UTC_ZONE
from shared.domain.triggers import CronTrigger
from shared.domain.workflow import Workflow
from shared.domain.zones import tzdata_version, zone


class WarningView(View):
    """Something about a definition that is legal, and that its author should know."""

    pointer: Annotated[str, Field(description="The place in the definition, as a JSON pointer.")]
    detail: str
    dates: Annotated[
        list[date] | None, Field(description="The calendar dates concerned, in the trigger's zone.")
    ] = None


class PauseView(View):
    """Since when a workflow's schedule stands still, and why."""

    since: Instant
    reason: str


class PreviewItem(View):
    """One instant at which a workflow is due."""

    at: Instant
    local: Annotated[
        str, Field(description="The same in the trigger's time zone, with its offset from UTC.")
    ]
    trigger: Annotated[
        str | None, Field(description="The id of its trigger, where there are several.")
    ] = None


class PreviewView(View):
    """The next instants of a workflow's triggers."""

    workflow_id: str
    version: int
    enabled: Annotated[bool, Field(description="If not, none of them fires until it is.")]
    paused: PauseView | None = None
    timezone: Annotated[
        str | None,
        Field(description="The time zone of `local`; not there if its triggers have several."),
    ] = None
    tzdata: Annotated[str, Field(description="The version of the zones' rules, as IANA names it.")]
    items: list[PreviewItem]


def pause_view(pause: Pause | None) -> PauseView | None:
    """Show a pause."""
    return PauseView(since=pause.since, reason=pause.reason) if pause else None


def warning_view(warning: ScheduleWarning) -> WarningView:
    """Show a warning about a trigger."""
    return WarningView(
        pointer=warning.pointer, detail=warning.message, dates=list(warning.dates) or None
    )


def preview_view(workflow: Workflow, instants: Sequence[tuple[datetime, str]]) -> PreviewView:
    """Show instants, also as the clocks of their trigger's zone tell them."""
    zones = _zones(workflow)
    names = set(zones.values())
    several = workflow.definition.triggers is not None
    return PreviewView(
        workflow_id=workflow.id,
        version=workflow.version,
        enabled=workflow.enabled,
        paused=pause_view(workflow.paused),
        timezone=names.pop() if len(names) == 1 else None,
        tzdata=tzdata_version(),
        items=[
            PreviewItem(
                at=at,
                local=_local(at.astimezone(zone(zones[name]))),
                trigger=name if several else None,
            )
            for at, name in instants
        ],
    )


def _local(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds" if at.microsecond else "seconds")


def _zones(workflow: Workflow) -> dict[str, str]:
    """Return the zone of each trigger; one that has none shares that of the others."""
    triggers = workflow.definition.all_triggers
    own = {name: t.timezone for name, t in triggers.items() if isinstance(t, CronTrigger)}
    shared = set(own.values())
    default = shared.pop() if len(shared) == 1 else UTC_ZONE
    return {name: own.get(name, default) for name in triggers}
