"""What became of an instant of a schedule, and why: a sentence for each trigger that has it."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from shared.domain.clock_gaps import said_of_gap
from shared.domain.execution import UNFINISHED, Execution, Skip, SkipReason, Status
from shared.domain.instants import format_instant as at
from shared.domain.ledger import OccurrenceOutcome, first_of, outcome_of
from shared.domain.lengths import readable
from shared.domain.moments import Moment, moment
from shared.domain.question import Account, Question
from shared.domain.why import WHY_SKIPPED
from shared.domain.why_unrecorded import never, not_in_timetable, unrecorded
from shared.domain.workflow import Workflow


def why_occurrence(question: Question) -> Account:
    """Explain what became of an instant, or why there is nothing at it."""
    found = moment(question.workflow, question.instant, question.lasts)
    names = _concerned(question, found)
    if names:
        record = next((r for n in names for r in _records_of(question, n)), None)
        return Account(_told(question, names), record, None if record else found)
    if found is None:
        return Account(never(question.workflow))
    if question.instant < question.workflow.created_at:
        created = at(question.workflow.created_at)
        return Account(f"The workflow was created after that, at {created}.", moment=found)
    return Account(not_in_timetable(question, found), moment=found)


def by_jitter(told: Account, workflow: Workflow, name: str, instant: datetime) -> Account:
    """Return what is told of the instant to which a trigger moves one that its author wrote."""
    whose = "Its jitter" if workflow.definition.triggers is None else f"The jitter of '{name}'"
    return replace(told, sentence=f"{whose} moves it to {at(instant)}. {told.sentence}")


def _concerned(question: Question, found: Moment | None) -> list[str]:
    """Return the triggers to tell of, in the order of the definition; those that are gone last."""
    names = {record.trigger_id for record in question.records}
    if found and question.instant >= question.workflow.created_at and not _is_of_gap(question):
        names |= {*found.triggers}
    order = dict.fromkeys([*question.workflow.definition.all_triggers, *sorted(names)])
    return [name for name in order if name in names]


def _is_of_gap(question: Question) -> bool:
    """Tell whether a local time is asked for that was jumped over, and not its instant."""
    return bool(question.records) and all(
        record.skip is not None
        and record.skip.reason is SkipReason.GAP
        and question.instant != first_of(record)
        for record in question.records
    )


def _told(question: Question, names: Iterable[str]) -> str:
    told = {name: _of_trigger(question, name) for name in names}
    if len(told) == 1:
        return "".join(told.values())
    return " ".join(f"{name}: {sentence}" for name, sentence in told.items())


def _of_trigger(question: Question, name: str) -> str:
    records = _records_of(question, name)
    if not records:
        return unrecorded(question, name)
    return " ".join(_recorded(question, record) for record in records)


def _records_of(question: Question, name: str) -> list[Execution]:
    return [record for record in question.records if record.trigger_id == name]


def _recorded(question: Question, record: Execution) -> str:
    match outcome_of(record):
        case OccurrenceOutcome.SKIPPED:
            return _skipped(question, record)
        case OccurrenceOutcome.BUFFERED:
            return f"It waits for its workflow to be free: execution {record.id} is buffered."
        case OccurrenceOutcome.FIRED:
            return _fired(record)


def _fired(record: Execution) -> str:
    what = "A backfill ran it" if record.is_backfill else "It fired"
    late = record.lateness
    if late is None or record.is_backfill:
        when = ""
    else:
        when = f" {readable(late)} late" if late else " on time"
    return f"{what}{when}: execution {record.id} {_state(record)}."


def _state(record: Execution) -> str:
    """Return what an execution is doing, or how it ended."""
    if record.status in UNFINISHED or record.finished_at is None:
        return f"is {record.status.value}"
    if record.status is Status.COMPLETED:
        return f"completed at {at(record.finished_at)}"
    ending = "was cancelled" if record.status is Status.CANCELLED else "failed"
    cause = f": {record.error.message}, {record.error.category}" if record.error else ""
    return f"{ending} at {at(record.finished_at)}{cause}"


def _skipped(question: Question, record: Execution) -> str:
    skip = record.skip
    if skip is None:
        raise ValueError("the record is of something that ran")
    among = _among(skip, question.instant) if skip.count > 1 else ""
    return f"It did not run ({skip.reason}): {_reason(question, record)}.{among}"


def _among(skip: Skip, asked: datetime) -> str:
    """Say of how many an instant is one."""
    if skip.reason is not SkipReason.GAP:
        return f" It is one of {skip.count} instants from {at(skip.first)} to {at(skip.last)}."
    what = "These are" if asked == skip.first else "It is one of"
    return f" {what} {skip.count} local times of its schedule that the clocks jumped over."


def _reason(question: Question, record: Execution) -> str:
    reason, paused = (record.skip.reason, record.skip.paused) if record.skip else (None, None)
    holder, recorded = question.holders.get(record.id), at(record.created_at)
    if reason is SkipReason.OVERLAP and holder is not None:
        return f"{_of(holder)} was not done then; it {_state(holder)}"
    if reason is SkipReason.PAUSED and paused is not None:
        return f"the workflow was paused from {at(paused.since)} until {recorded}: {paused.reason}"
    if reason is SkipReason.SUPERSEDED:
        return f"its trigger was replaced at {recorded}, before it had started"
    if reason is SkipReason.DISABLED:
        return f"the workflow was disabled when it was due, until {recorded}"
    if reason is SkipReason.MISSED:
        return f"nothing was there to start it before {recorded}, when a later one was due"
    said = _gap(question, record) if reason is SkipReason.GAP else ""
    return said or (WHY_SKIPPED[reason] if reason else "")


def _gap(question: Question, record: Execution) -> str:
    return said_of_gap(question.workflow, record.trigger_id, first_of(record), question.instant)


def _of(holder: Execution) -> str:
    if holder.scheduled_for is not None:
        return f"execution {holder.id} of {at(first_of(holder))}"
    return f"execution {holder.id}, triggered at {at(holder.created_at)},"
