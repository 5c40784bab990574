"""What is due of a workflow: where each of its triggers is in its schedule."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from heapq import merge
from itertools import islice
from operator import itemgetter

from shared.domain.held import Hold
from shared.domain.identity import workflow_key
from shared.domain.jitter import delay_of, timetable_from
from shared.domain.moving import Position
from shared.domain.overlap import PLAIN, OverlapPolicy
from shared.domain.plan import initial_retries
from shared.domain.schedule import Missed, resume_plan
from shared.domain.timetable import Timetable, fires_after, rules_of
from shared.domain.triggers import ForeignTrigger, Trigger, max_runs_of
from shared.domain.workflow import Workflow, known


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

    def runs_left_after(self, since: datetime, now: datetime) -> int | None:
        """Return how often it will fire after `since`, if all instants from `now` to it fire."""
        left = self.runs_left
        return None if left is None else max(0, left - self.timetable.count(now, since))

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
    def position(self) -> Position:
        """Where it is in its schedule."""
        delay = delay_of(self.trigger, self.tenant, self.workflow_id, self.trigger_id)
        return Position(self.next_run_at, self.timetable, delay, self.hold)


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
    fires = islice(fires_after(due.timetable, since), due.runs_left_after(since, now))
    return ((at, due.trigger_id) for at in fires)


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
