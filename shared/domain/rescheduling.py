"""What a change of a workflow means for the next instants of its triggers."""

from datetime import datetime

from shared.domain.definition import WorkflowDefinition
from shared.domain.schedule import resume_plan
from shared.domain.trigger_ids import unchanged
from shared.domain.workflow import Unserved, Workflow, due_workflows


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
    """Return the instants up to `now` that nobody dealt with and a definition does away with."""
    kept = unchanged(workflow.definition.all_triggers, definition.all_triggers)
    gone = [due for due in due_workflows(workflow) if due.trigger_id not in kept]
    plans = ((due, resume_plan(due.timetable, due.next_run_at, now)) for due in gone)
    return [(due, missed) for due, plan in plans for missed in plan[0]]
