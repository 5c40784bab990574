"""What the API says of schedules: the instants to come, and what its author should know."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Annotated

from pydantic import Field

from shared.contracts.cloudevents import Instant
from shared.contracts.views import View
from shared.domain.durations import Duration
from shared.domain.execution import SkipReason
from shared.domain.foresight import Expected, Foreseen
from shared.domain.outlook import MOST_BEFORE, Outlook, Source
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
    expected: Annotated[
        Expected,
        Field(
            description="What the workflow's `overlap` makes of it, if executions take as long as "
            "is `assumed`. fires: it starts at this instant. buffered: it waits, until `startsAt`. "
            "replaced: it starts, and is cancelled for a newer one at `replacedAt`. skipped: "
            "it does not start, for the `reason`."
        ),
    ]
    starts_at: Annotated[
        Instant | None, Field(description="When it starts, if it is buffered.")
    ] = None
    replaced_at: Annotated[
        Instant | None, Field(description="When a newer one takes its place.")
    ] = None
    reason: Annotated[
        SkipReason | None,
        Field(
            description="overlap: it meets executions that are not done. superseded: of several "
            "that are due at once, another one starts."
        ),
    ] = None


class AssumedView(View):
    """What the expectations rest on; triggers by hand, backfills and retries are not foreseen."""

    source: Annotated[
        Source,
        Field(
            description="Where `duration` comes from. given: it was asked for. measured: it is "
            "the median of the scheduled ones among the recent executions. unknown: none of "
            "those tells, so nothing is foreseen, and every instant is said to fire."
        ),
    ]
    duration: Annotated[
        Duration | None, Field(description="How long an execution is assumed to take.")
    ] = None
    executions: Annotated[
        int | None, Field(description="Of how many executions it is the median.")
    ] = None
    reckoned_from: Annotated[
        Instant | None,
        Field(
            description="From when on instants were reckoned with: now, with what runs and waits "
            f"now; or, where more than {MOST_BEFORE} instants lie between, `from`, with a "
            "workflow that is free."
        ),
    ] = None


class PreviewView(View):
    """The next instants of a workflow's triggers, and what is to be expected of each."""

    workflow_id: str
    version: int
    enabled: Annotated[bool, Field(description="If not, none of them fires until it is.")]
    paused: PauseView | None = None
    timezone: Annotated[
        str | None,
        Field(description="The time zone of `local`; not there if its triggers have several."),
    ] = None
    tzdata: Annotated[str, Field(description="The version of the zones' rules, as IANA names it.")]
    assumed: AssumedView
    items: list[PreviewItem]


def pause_view(pause: Pause | None) -> PauseView | None:
    """Show a pause."""
    return PauseView(since=pause.since, reason=pause.reason) if pause else None


def warning_view(warning: ScheduleWarning) -> WarningView:
    """Show a warning about a trigger."""
    return WarningView(
        pointer=warning.pointer, detail=warning.message, dates=list(warning.dates) or None
    )


def preview_view(found: Outlook) -> PreviewView:
    """Show instants, also as the clocks of their trigger's zone tell them."""
    workflow, assumed = found.workflow, found.assumed
    zones = _zones(workflow)
    names = set(zones.values())
    return PreviewView(
        workflow_id=workflow.id,
        version=workflow.version,
        enabled=workflow.enabled,
        paused=pause_view(workflow.paused),
        timezone=names.pop() if len(names) == 1 else None,
        tzdata=tzdata_version(),
        assumed=AssumedView(
            source=assumed.source,
            duration=assumed.length,
            executions=assumed.executions,
            reckoned_from=found.reckoned_from,
        ),
        items=[_item(workflow, zones, each) for each in found.instants],
    )


def _item(workflow: Workflow, zones: Mapping[str, str], foreseen: Foreseen) -> PreviewItem:
    name, expected = foreseen.trigger_id, foreseen.expected
    return PreviewItem(
        at=foreseen.at,
        local=_local(foreseen.at.astimezone(zone(zones[name]))),
        trigger=name if workflow.definition.triggers is not None else None,
        expected=expected,
        starts_at=foreseen.later if expected is Expected.BUFFERED else None,
        replaced_at=foreseen.later if expected is Expected.REPLACED else None,
        reason=foreseen.reason,
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
