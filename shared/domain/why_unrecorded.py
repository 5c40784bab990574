"""What is said of an instant that nothing is on record for."""

from datetime import datetime

from shared.domain.clock_gaps import missing_at
from shared.domain.durations import format_duration
from shared.domain.instants import format_instant as at
from shared.domain.moments import Moment, is_excluded, is_owed
from shared.domain.question import Question
from shared.domain.triggers import CronTrigger, ForeignTrigger
from shared.domain.why_ended import behind_the_end, out_of_runs
from shared.domain.workflow import Workflow


def never(workflow: Workflow) -> str:
    """Say why a workflow has no instants at all."""
    if any(isinstance(t, ForeignTrigger) for t in workflow.definition.all_triggers.values()):
        return "Its trigger is of a kind that this release does not know, so nothing is said of it."
    return "There is no occurrence then: the workflow runs only when it is triggered by hand."


def unrecorded(question: Question, name: str) -> str:
    """Say what is known of an instant of a trigger that the ledger has not."""
    workflow, instant = question.workflow, question.instant
    if instant > question.now:
        return out_of_runs(question, name) or f"It is still to come{_halted(workflow)}."
    if is_owed(workflow, name, instant):
        return _overdue(workflow)
    if said := out_of_runs(question, name):
        return said
    if instant <= question.now - question.retention:
        kept = format_duration(question.retention)
        return f"It is older than what is kept ({kept}), so nothing is known of it any more."
    if instant < workflow.updated_at:
        changed = f"the workflow was changed since, at {at(workflow.updated_at)}"
        return f"There is no record of it: {changed}, and may have had another timetable then."
    return "There is no record of it, which should not be: its timetable has had it all along."


def _halted(workflow: Workflow) -> str:
    if workflow.paused is not None:
        paused = workflow.paused
        return f", but the workflow has been paused since {at(paused.since)}: {paused.reason}"
    return "" if workflow.enabled else ", but the workflow is disabled"


def _overdue(workflow: Workflow) -> str:
    if workflow.paused is not None:
        return f"It is due{_halted(workflow)}. What becomes of it is decided when it is resumed."
    if not workflow.enabled:
        return "It did not run: the workflow is disabled. It is recorded when that ends."
    return "It is due, and no scheduler has dealt with it yet."


def not_in_timetable(question: Question, found: Moment) -> str:
    """Say that there is nothing at an instant, what one could have expected, and what is near."""
    instant, triggers = question.instant, question.workflow.definition.all_triggers.values()
    causes = [_why_not(t, instant) for t in triggers if isinstance(t, CronTrigger)]
    cause = next(filter(None, causes), "") or behind_the_end(question)
    changed = ""
    if instant < question.workflow.updated_at:
        changed = f", by the timetable since {at(question.workflow.updated_at)}"
    return f"There is no occurrence at {at(instant)}{cause}. {_nearest(found)}{changed}."


def _nearest(found: Moment) -> str:
    before = f"{at(found.before)} before" if found.before else ""
    after = f"{at(found.after)} after" if found.after else ""
    if before and after:
        return f"The nearest are {before} and {after} it"
    return f"The nearest is {before or after} it" if before or after else "There is none near it"


def _why_not(trigger: CronTrigger, instant: datetime) -> str:
    """Say what keeps a cron trigger from firing at an instant that one would think it names."""
    if is_excluded(trigger, instant):
        return ": its date is excluded"
    missing = missing_at(trigger, instant)
    return f": {missing}" if missing else ""
