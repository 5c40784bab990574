"""A workflow: its current definition, whether it is enabled, and when it is due next."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from shared.domain.definition import WorkflowDefinition
from shared.domain.execution import Execution, Status
from shared.domain.held import Hold
from shared.domain.identity import shard_of, workflow_key
from shared.domain.jitter import delay_of, delayed
from shared.domain.overlap import OverlapPolicy
from shared.domain.pause import Pause
from shared.domain.timetable import timetable_of
from shared.domain.trigger_ids import AnyTrigger
from shared.domain.triggers import ForeignTrigger, max_runs_of


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


def first_run_at(
    tenant: str, workflow_id: str, trigger_id: str, trigger: AnyTrigger, now: datetime
) -> datetime | None:
    """Return when a trigger created at `now` is due first, or None if it never is."""
    plain = None if isinstance(trigger, ForeignTrigger) else timetable_of(trigger, now)
    timetable = delayed(plain, delay_of(trigger, tenant, workflow_id, trigger_id))
    return timetable.next_place(now) if timetable else None


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
        next_runs=next_runs_of(tenant, definition, now),
        created_at=now,
        updated_at=now,
        resumed_at=now if former else None,
        # What had the id before may have been deleted while executions of it were unfinished.
        narrowed=version > 1,
    )


def next_runs_of(
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
