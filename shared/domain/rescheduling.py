"""What a change of a workflow means for the next instants of its triggers."""

from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.definition import WorkflowDefinition
from shared.domain.due import DueWorkflow, Unserved, due_workflows, without_passed
from shared.domain.held import Hold
from shared.domain.jitter import delay_of
from shared.domain.moving import REACH
from shared.domain.schedule import resume_plan
from shared.domain.trigger_ids import unchanged
from shared.domain.workflow import Workflow, next_runs_of


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
            places[name], hold = due.position.moved(_delay_in(definition, due), now)
            holds |= {name: hold} if hold else {}
    return replace(
        workflow,
        definition=definition,
        version=version,
        next_runs=next_runs_of(workflow.tenant, definition, now, places),
        updated_at=now,
        runs={name: count for name, count in workflow.runs.items() if name in kept},
        narrowed=not workflow.policy.is_plain,
        holds=holds,
    )


def enable(workflow: Workflow, now: datetime) -> tuple[Workflow, list[Unserved]]:
    """Return the workflow switched on, and the instants that passed while it was off."""
    behind, unserved = without_passed(workflow, now)
    return replace(behind, enabled=True, paused=None, resumed_at=now, updated_at=now), unserved


def reschedules(before: Workflow, after: Workflow) -> bool:
    """Tell whether a change decides next instants anew, even if they come out the same."""
    one, other = before.definition, after.definition
    changed = (one.trigger, one.triggers) != (other.trigger, other.triggers)
    return changed or before.next_runs != after.next_runs


def relied_on(before: Workflow, after: Workflow) -> dict[str, datetime | None]:
    """Return the next instants that must still be these for a rescheduling to be right.

    What a new definition does away with may have been fired meanwhile, and what was
    deleted is not.
    """
    if before.deleted_at is not None:
        return {}
    triggers = before.definition.all_triggers
    is_redefined = after.version != before.version
    names = unchanged(triggers, after.definition.all_triggers) if is_redefined else triggers
    return {name: before.next_runs.get(name) for name in names}


def superseded(workflow: Workflow, definition: WorkflowDefinition, now: datetime) -> list[Unserved]:
    """Return the instants that nobody dealt with and a definition does away with.

    These are those up to `now` of triggers that go. Of one whose jitter changes they are
    those in reach of a scheduler, if they could not go on in order.
    """
    kept = unchanged(workflow.definition.all_triggers, definition.all_triggers)

    def end(due: DueWorkflow) -> datetime | None:
        if due.trigger_id not in kept:
            return now
        return now + REACH if _is_tangled(due, definition, now) else None

    ends = ((due, until) for due in due_workflows(workflow) if (until := end(due)))
    plans = ((due, resume_plan(due.timetable, due.next_run_at, until)) for due, until in ends)
    return [(due, missed) for due, plan in plans for missed in plan[0]]


def _is_tangled(due: DueWorkflow, definition: WorkflowDefinition, now: datetime) -> bool:
    """Tell whether what is due of a trigger that stays cannot go on with another jitter."""
    return due.position.is_tangled(_delay_in(definition, due), now)


def _delay_in(definition: WorkflowDefinition, due: DueWorkflow) -> timedelta:
    trigger = definition.all_triggers[due.trigger_id]
    return delay_of(trigger, due.tenant, due.workflow_id, due.trigger_id)
