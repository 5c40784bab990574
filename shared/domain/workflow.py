"""A workflow: its current definition, whether it is enabled, and when it is due next."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from heapq import merge
from operator import itemgetter

from shared.domain.definition import WorkflowDefinition
from shared.domain.execution import Execution, Status
from shared.domain.held import Hold
from shared.domain.identity import shard_of, workflow_key
from shared.domain.jitter import delay_of, delayed, timetable_from
from shared.domain.moving import Place
from shared.domain.overlap import PLAIN, OverlapPolicy
from shared.domain.pause import Pause
from shared.domain.plan import initial_retries
from shared.domain.schedule import Missed, resume_plan
from shared.domain.timetable import Timetable, rules_of, timetable_of
from shared.domain.trigger_ids import AnyTrigger, unchanged
from shared.domain.triggers import (
    ForeignTrigger,
    Trigger,
    max_runs_of,
)


class TriggerStatus(StrEnum):
    """Whether a workflow could be triggered now; derived from its active execution."""

    IDLE = "idle"
    BUSY = "busy"
    PENDING = "pending"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """One workflow of one tenant. Its id is never reused: a deleted one keeps its version.

    `next_runs` has the next place of each trigger that has one, by the trigger's id: where it
    fires, or where a clock gap swallows local times of it (see Timetable).
    `runs` how often those have fired whose runs are limited, `holds` what kept its delay
    when a jitter changed. One that is `paused` is not enabled. `resumed_at` is when it last
    was switched on, or created, again. It is `narrowed` if an earlier version may have had
    room for more executions than there is now.
    """

    tenant: str
    definition: WorkflowDefinition
    version: int
    enabled: bool
    next_runs: Mapping[str, datetime]
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None
    runs: Mapping[str, int] = field(default_factory=dict)
    holds: Mapping[str, Hold] = field(default_factory=dict)
    paused: Pause | None = None
    resumed_at: datetime | None = None
    narrowed: bool = False

    @property
    def policy(self) -> OverlapPolicy:
        """Whom there is room for, beside what is left of earlier versions."""
        return replace(self.definition.overlap_policy, narrowed=self.narrowed)

    @property
    def takes_triggers(self) -> bool:
        """Tell whether it may be run by hand: a pause halts its schedule, not an operator."""
        return self.enabled or self.paused is not None

    @property
    def id(self) -> str:
        """The id its author gave it, unique within the tenant."""
        return self.definition.workflow_id

    @property
    def key(self) -> str:
        """The id across tenants."""
        return workflow_key(self.tenant, self.id)

    @property
    def next_run_at(self) -> datetime | None:
        """The earliest instant at which one of its triggers is dealt with, if any ever is."""
        return min(self.next_runs.values(), default=None)

    @property
    def shard(self) -> int:
        """The part of the due work it belongs to."""
        return shard_of(self.tenant, self.id)


@dataclass(frozen=True, slots=True)
class DueWorkflow:
    """What the scheduler needs to know of a workflow to fire one of its triggers."""

    tenant: str
    workflow_id: str
    version: int
    trigger_id: str
    trigger: Trigger
    retries: int
    next_run_at: datetime
    timeout: timedelta | None = None
    is_one_of_several: bool = False
    runs: int = 0
    pause_on_failure: int | None = None
    resumed_at: datetime | None = None
    policy: OverlapPolicy = PLAIN
    hold: Hold | None = None

    @property
    def key(self) -> str:
        """The id across tenants."""
        return workflow_key(self.tenant, self.workflow_id)

    @property
    def runs_left(self) -> int | None:
        """How often it will still fire, if that is limited."""
        limit = max_runs_of(self.trigger)
        return None if limit is None else limit - self.runs

    @property
    def tzdata(self) -> str | None:
        """The version of the zones' rules that its instants depend on, if they do."""
        return rules_of(self.trigger)

    @property
    def timetable(self) -> Timetable:
        """When it fires: plain intervals count from the next instant.

        Raises ValueError for a trigger that never fires by itself.
        """
        names = self.tenant, self.workflow_id, self.trigger_id
        timetable = timetable_from(self.trigger, *names, self.next_run_at, self.hold)
        if timetable is None:
            raise ValueError(f"a trigger of type '{self.trigger.type}' is never due")
        return timetable

    @property
    def place(self) -> Place:
        """Where it is in its schedule."""
        delay = delay_of(self.trigger, self.tenant, self.workflow_id, self.trigger_id)
        at, hold = self.next_run_at, self.hold
        kept = hold.delay if hold and at <= hold.until else delay
        return Place(at, self.timetable, kept, hold)


Unserved = tuple[DueWorkflow, Missed]
"""A trigger, and instants or a clock gap of it that nobody dealt with."""


def due_workflows(workflow: Workflow) -> list[DueWorkflow]:
    """Return what firing takes of each trigger of a workflow that has an instant to come."""
    definition = workflow.definition
    return [
        DueWorkflow(
            tenant=workflow.tenant,
            workflow_id=workflow.id,
            version=workflow.version,
            trigger_id=name,
            trigger=trigger,
            retries=initial_retries(definition),
            next_run_at=workflow.next_runs[name],
            timeout=definition.timeout,
            is_one_of_several=definition.triggers is not None,
            runs=workflow.runs.get(name, 0),
            pause_on_failure=definition.pause_on_failure,
            resumed_at=workflow.resumed_at,
            policy=workflow.policy,
            hold=workflow.holds.get(name),
        )
        for name, trigger in definition.all_triggers.items()
        if name in workflow.next_runs and not isinstance(trigger, ForeignTrigger)
    ]


def first_run_at(
    tenant: str, workflow_id: str, trigger_id: str, trigger: AnyTrigger, now: datetime
) -> datetime | None:
    """Return when a trigger created at `now` is due first, or None if it never is."""
    plain = None if isinstance(trigger, ForeignTrigger) else timetable_of(trigger, now)
    timetable = delayed(plain, delay_of(trigger, tenant, workflow_id, trigger_id))
    return timetable.next_place(now) if timetable else None


def next_fires(workflow: Workflow) -> dict[str, datetime]:
    """Return when each trigger fires next that still does, by the trigger's id."""
    behind_gaps = {
        due.trigger_id: timetable.next_after(due.next_run_at)
        for due in due_workflows(workflow)
        if (timetable := due.timetable).swallowed(due.next_run_at)
    }
    return known({**workflow.next_runs, **behind_gaps})


def instants_after(
    workflow: Workflow, since: datetime, now: datetime
) -> Iterator[tuple[datetime, str]]:
    """Yield the instants of a workflow after `since`, switched on or not, each with its trigger.

    Those of all triggers, by their ids, come in one order. Where the runs of one are
    limited, all its instants between `now` and `since` are taken to fire.
    """
    found = (_instants(due, since, now) for due in due_workflows(workflow))
    return merge(*found, key=itemgetter(0))


def _instants(due: DueWorkflow, since: datetime, now: datetime) -> Iterator[tuple[datetime, str]]:
    timetable, left = due.timetable, due.runs_left
    if left is not None:
        left -= timetable.count(now, since)
    at = timetable.next_after(since)
    while at is not None and (left is None or left > 0):
        yield at, due.trigger_id
        at = timetable.next_after(at)
        left = None if left is None else left - 1


def create(
    tenant: str,
    definition: WorkflowDefinition,
    version: int,
    now: datetime,
    former: Workflow | None = None,
) -> Workflow:
    """Return a new workflow, due at the first instants of its triggers after `now`.

    `former` is a deleted one of its name: what came of that one's executions does not count.
    """
    return Workflow(
        tenant=tenant,
        definition=definition,
        version=version,
        enabled=True,
        next_runs=_next_runs(tenant, definition, now),
        created_at=now,
        updated_at=now,
        resumed_at=now if former else None,
        # What had the id before may have been deleted while executions of it were unfinished.
        narrowed=version > 1,
    )


def redefine(
    workflow: Workflow, definition: WorkflowDefinition, version: int, now: datetime
) -> Workflow:
    """Return the workflow with a new definition; the triggers that stay keep their place.

    It moves as far as another jitter delays them.
    """
    kept = unchanged(workflow.definition.all_triggers, definition.all_triggers)
    places = {name: workflow.next_runs.get(name) for name in kept}
    holds: dict[str, Hold] = {}
    for due in due_workflows(workflow):
        if (name := due.trigger_id) in kept:
            places[name], hold = due.place.moved(_delay_in(definition, due), now)
            holds |= {name: hold} if hold else {}
    return replace(
        workflow,
        definition=definition,
        version=version,
        next_runs=_next_runs(workflow.tenant, definition, now, places),
        updated_at=now,
        runs={name: count for name, count in workflow.runs.items() if name in kept},
        narrowed=not workflow.policy.is_plain,
        holds=holds,
    )


def is_tangled(due: DueWorkflow, definition: WorkflowDefinition, now: datetime) -> bool:
    """Tell whether what is due of a trigger that stays cannot go on with another jitter."""
    return due.place.is_tangled(_delay_in(definition, due), now)


def _delay_in(definition: WorkflowDefinition, due: DueWorkflow) -> timedelta:
    trigger = definition.all_triggers[due.trigger_id]
    return delay_of(trigger, due.tenant, due.workflow_id, due.trigger_id)


def _next_runs(
    tenant: str,
    definition: WorkflowDefinition,
    now: datetime,
    places: Mapping[str, datetime | None] | None = None,
) -> dict[str, datetime]:
    """Return the next instants: where triggers have a place, that, else their first."""
    kept = places or {}
    found = {
        name: kept[name]
        if name in kept
        else first_run_at(tenant, definition.workflow_id, name, trigger, now)
        for name, trigger in definition.all_triggers.items()
    }
    return known(found)


def disable(workflow: Workflow, now: datetime) -> Workflow:
    """Return the workflow switched off; it keeps its place in the schedule."""
    return replace(workflow, enabled=False, paused=None, updated_at=now)


def enable(workflow: Workflow, now: datetime) -> tuple[Workflow, list[Unserved]]:
    """Return the workflow switched on, and the instants that passed while it was off."""
    behind, unserved = without_passed(workflow, now)
    return replace(behind, enabled=True, paused=None, resumed_at=now, updated_at=now), unserved


def without_passed(workflow: Workflow, now: datetime) -> tuple[Workflow, list[Unserved]]:
    """Return the workflow with its place in the schedule behind `now`, and what passed."""
    places: dict[str, datetime | None] = {**workflow.next_runs}
    unserved: list[Unserved] = []
    for due in due_workflows(workflow):
        missed, places[due.trigger_id] = resume_plan(due.timetable, due.next_run_at, now)
        unserved += [(due, each) for each in missed]
    return replace(workflow, next_runs=known(places)), unserved


def move_behind(workflow: Workflow, due: DueWorkflow, until: datetime) -> Workflow:
    """Return the workflow with the place of a trigger behind an instant that is on record."""
    place = workflow.next_runs.get(due.trigger_id)
    if place is None or place > until:
        return workflow
    following = due.timetable.next_place(until)
    return replace(workflow, next_runs=known({**workflow.next_runs, due.trigger_id: following}))


def known(places: Mapping[str, datetime | None]) -> dict[str, datetime]:
    """Return the next instants of those triggers that have one."""
    return {name: at for name, at in places.items() if at is not None}


def count_fires(workflow: Workflow, trigger_id: str, fires: int) -> Workflow:
    """Return the workflow with so many fires more of a trigger, if they count.

    That may be at its end then.
    """
    limit = max_runs_of(workflow.definition.all_triggers[trigger_id])
    if limit is None or not fires:
        return workflow
    runs = {**workflow.runs, trigger_id: workflow.runs.get(trigger_id, 0) + fires}
    ended = runs[trigger_id] >= limit
    places = {n: at for n, at in workflow.next_runs.items() if not (ended and n == trigger_id)}
    return replace(workflow, runs=runs, next_runs=places)


def delete(workflow: Workflow, now: datetime) -> Workflow:
    """Return the tombstone of the workflow: never due, its version kept for a re-creation."""
    off = disable(workflow, now)
    return replace(off, next_runs={}, deleted_at=now)


def trigger_status(active: Execution | None) -> TriggerStatus:
    """Derive the status of a workflow's trigger from its unfinished execution, if any."""
    if active is None:
        return TriggerStatus.IDLE
    return TriggerStatus.PENDING if active.status is Status.PENDING else TriggerStatus.BUSY
