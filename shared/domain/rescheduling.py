"""What a change of a workflow means for the next instants of its triggers."""

from datetime import datetime

from shared.domain.definition import WorkflowDefinition
from shared.domain.moving import REACH
from shared.domain.schedule import resume_plan
from shared.domain.trigger_ids import unchanged
from shared.domain.workflow import DueWorkflow, Unserved, Workflow, due_workflows, is_tangled


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
        return now + REACH if is_tangled(due, definition, now) else None

    ends = ((due, until) for due in due_workflows(workflow) if (until := end(due)))
    plans = ((due, resume_plan(due.timetable, due.next_run_at, until)) for due, until in ends)
    return [(due, missed) for due, plan in plans for missed in plan[0]]
