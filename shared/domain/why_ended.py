"""What is said of an instant at which a trigger has come to its end: by its runs, or by time."""

from datetime import datetime
from typing import Final

from shared.domain.due import due_workflows
from shared.domain.durations import MILLISECOND
from shared.domain.instants import format_instant as at
from shared.domain.jitter import delay_of
from shared.domain.question import Question
from shared.domain.triggers import (
    CronTrigger,
    ForeignTrigger,
    ManualTrigger,
    PeriodicTrigger,
    max_runs_of,
)

_AHEAD: Final = 1000
"""So many instants are looked ahead for the last run of a trigger."""


def out_of_runs(question: Question, name: str) -> str:
    """Say that a trigger has had all its runs before an instant, or will have had, if so."""
    limit = max_runs_of(question.workflow.definition.all_triggers[name])
    if limit is None:
        return ""
    if name in question.workflow.next_runs:
        return _will_be_out(question, name, limit)
    last = question.lasts.get(name)
    has_had = question.workflow.runs.get(name, 0) >= limit
    # What is not on record any more lies further back than records are kept.
    if not has_had or question.instant <= (last or question.now - question.retention):
        return ""
    runs = "1 run" if limit == 1 else f"{limit} runs"
    known = f", the last for {at(last)}" if last else ""
    return f"It does not fire any more: its trigger has had its {runs}{known}."


def _will_be_out(question: Question, name: str, limit: int) -> str:
    (due,) = (each for each in due_workflows(question.workflow) if each.trigger_id == name)
    left, timetable = due.runs_left or 0, due.timetable
    if not 0 < left <= _AHEAD:
        return ""
    last: datetime | None = max(due.next_run_at - MILLISECOND, question.now)
    for _ in range(left):
        last = timetable.next_after(last) if last else None
    if last is None or question.instant <= last:
        return ""
    return (
        f"It will not fire if those before it do: its trigger has {left} of its {limit} runs left."
    )


def behind_the_end(question: Question) -> str:
    """Say that an instant comes when all triggers of a workflow have ended, if it does."""
    workflow, ends = question.workflow, list[datetime]()
    for name, trigger in workflow.definition.all_triggers.items():
        if isinstance(trigger, ManualTrigger | ForeignTrigger):
            continue
        end = trigger.end_at if isinstance(trigger, PeriodicTrigger | CronTrigger) else None
        delay = delay_of(trigger, workflow.tenant, workflow.id, name)
        if end is None or question.instant <= end + delay:
            return ""
        ends.append(end)
    fire = "its trigger fires" if len(ends) == 1 else "its triggers fire"
    return f": {fire} until {at(max(ends))} (endAt)" if ends else ""
