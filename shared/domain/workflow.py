"""A workflow: its current definition, whether it is enabled, and when it is due next."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.definition import WorkflowDefinition
from shared.domain.execution import Execution, Status
from shared.domain.identity import shard_of, workflow_key
from shared.domain.jitter import Delayed, delay_of
from shared.domain.plan import initial_retries
from shared.domain.schedule import Missed, resume_plan
from shared.domain.timetable import Timetable, timetable_of
from shared.domain.triggers import (
    CronTrigger,
    ForeignTrigger,
    PeriodicTrigger,
    Trigger,
    max_runs_of,
)
from shared.domain.zones import tzdata_version


class TriggerStatus(StrEnum):
    """Whether a workflow could be triggered now; derived from its active execution."""

    IDLE = "idle"
    BUSY = "busy"
    PENDING = "pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """One workflow of one tenant. Its id is never reused: a deleted one keeps its version."""

    tenant: str
    definition: WorkflowDefinition
    version: int
    enabled: bool
    next_run_at: datetime | None
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None
    runs: int = 0
    """How often its trigger has fired; counted only where that is limited."""

    @property
    def id(self) -> str:
        """The id its author gave it, unique within the tenant."""
        return self.definition.workflow_id

    @property
    def key(self) -> str:
        """The id across tenants."""
        return workflow_key(self.tenant, self.id)

    @property
    def shard(self) -> int:
        """The part of the due work it belongs to."""
        return shard_of(self.tenant, self.id)


@dataclass(frozen=True, slots=True)
class DueWorkflow:
    """What the scheduler needs to know of a workflow to fire it."""

    tenant: str
    workflow_id: str
    version: int
    trigger: Trigger
    retries: int
    next_run_at: datetime
    timeout: timedelta | None = None
    runs: int = 0

    @property
    def key(self) -> str:
        """The id across tenants."""
        return workflow_key(self.tenant, self.workflow_id)

    @property
    def runs_left(self) -> int | None:
        """How often its trigger will still fire, if that is limited."""
        limit = max_runs_of(self.trigger)
        return None if limit is None else limit - self.runs

    @property
    def trigger_id(self) -> str:
        """What the trigger is called in ids and answers."""
        return self.trigger.type

    @property
    def tzdata(self) -> str | None:
        """The version of the zones' rules that its instants depend on, if they do."""
        return tzdata_version() if isinstance(self.trigger, CronTrigger) else None

    @property
    def timetable(self) -> Timetable:
        """When it fires: plain intervals count from the next instant.

        Raises ValueError for a trigger that never fires by itself.
        """
        trigger = self.trigger
        step = trigger.interval if isinstance(trigger, PeriodicTrigger) else timedelta()
        delay = delay_of(trigger, self.tenant, self.workflow_id, self.trigger_id)
        timetable = timetable_of(trigger, self.next_run_at - delay - step)
        if timetable is None:
            raise ValueError(f"a trigger of type '{self.trigger.type}' is never due")
        return Delayed(timetable, delay) if delay else timetable


def due_workflow(workflow: Workflow) -> DueWorkflow | None:
    """Return what firing a workflow needs, or None for one that is not due any more, or never."""
    trigger = workflow.definition.trigger
    if workflow.next_run_at is None or isinstance(trigger, ForeignTrigger):
        return None
    return DueWorkflow(
        tenant=workflow.tenant,
        workflow_id=workflow.id,
        version=workflow.version,
        trigger=trigger,
        retries=initial_retries(workflow.definition),
        next_run_at=workflow.next_run_at,
        timeout=workflow.definition.timeout,
        runs=workflow.runs,
    )


def first_run_at(tenant: str, definition: WorkflowDefinition, now: datetime) -> datetime | None:
    """Return when a workflow created at `now` is due first, or None if it never is."""
    trigger = definition.trigger
    timetable = None if isinstance(trigger, ForeignTrigger) else timetable_of(trigger, now)
    if timetable is None:
        return None
    delay = delay_of(trigger, tenant, definition.workflow_id, trigger.type)
    return Delayed(timetable, delay).next_after(now)


def instants_after(workflow: Workflow, since: datetime, now: datetime) -> Iterator[datetime]:
    """Yield the instants of a workflow after `since`, switched on or not.

    Where its runs are limited, all instants between `now` and `since` are taken to fire.
    """
    due = due_workflow(workflow)
    if due is None:
        return
    timetable, left = due.timetable, due.runs_left
    if left is not None:
        left -= timetable.count(now, since)
    at = timetable.next_after(since)
    while at is not None and (left is None or left > 0):
        yield at
        at = timetable.next_after(at)
        left = None if left is None else left - 1


def create(tenant: str, definition: WorkflowDefinition, version: int, now: datetime) -> Workflow:
    """Return a new workflow, due at the first instant of its trigger after `now`."""
    return Workflow(
        tenant=tenant,
        definition=definition,
        version=version,
        enabled=True,
        next_run_at=first_run_at(tenant, definition, now),
        created_at=now,
        updated_at=now,
    )


def redefine(
    workflow: Workflow, definition: WorkflowDefinition, version: int, now: datetime
) -> Workflow:
    """Return the workflow with a new definition; its schedule moves only if the trigger changed."""
    same_trigger = definition.trigger == workflow.definition.trigger
    return replace(
        workflow,
        definition=definition,
        version=version,
        next_run_at=workflow.next_run_at
        if same_trigger
        else first_run_at(workflow.tenant, definition, now),
        updated_at=now,
        runs=workflow.runs if same_trigger else 0,
    )


def reschedules(before: Workflow, after: Workflow) -> bool:
    """Tell whether a change decides the next instant anew, even if it comes out the same."""
    changed = after.definition.trigger != before.definition.trigger
    return changed or after.next_run_at != before.next_run_at


def superseded(due: DueWorkflow, trigger: Trigger | ForeignTrigger, now: datetime) -> Missed | None:
    """Return the instants up to `now` that nobody dealt with and a new trigger does away with."""
    if trigger == due.trigger:
        return None
    plan = resume_plan(due.timetable, due.next_run_at, now)
    return plan[0] if plan else None


def disable(workflow: Workflow, now: datetime) -> Workflow:
    """Return the workflow switched off; it keeps its place in the schedule."""
    return replace(workflow, enabled=False, updated_at=now)


def enable(workflow: Workflow, now: datetime) -> tuple[Workflow, Missed | None]:
    """Return the workflow switched on, and the instants that passed while it was off."""
    due = due_workflow(workflow)
    plan = resume_plan(due.timetable, due.next_run_at, now) if due else None
    missed, next_run_at = plan or (None, workflow.next_run_at)
    return replace(workflow, enabled=True, next_run_at=next_run_at, updated_at=now), missed


def count_fires(workflow: Workflow, fires: int) -> Workflow:
    """Return the workflow with so many fires more, if they count; it may be at its end then."""
    limit = max_runs_of(workflow.definition.trigger)
    if limit is None or not fires:
        return workflow
    runs = workflow.runs + fires
    return replace(workflow, runs=runs, next_run_at=workflow.next_run_at if runs < limit else None)


def delete(workflow: Workflow, now: datetime) -> Workflow:
    """Return the tombstone of the workflow: never due, its version kept for a re-creation."""
    return replace(workflow, enabled=False, next_run_at=None, updated_at=now, deleted_at=now)


def trigger_status(active: Execution | None) -> TriggerStatus:
    """Derive the status of a workflow's trigger from its unfinished execution, if any."""
    if active is None:
        return TriggerStatus.IDLE
    return TriggerStatus.PENDING if active.status is Status.PENDING else TriggerStatus.BUSY
