"""What became of an instant of a schedule, and why, in one sentence."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.clock_gaps import missing_at, said_of_gap
from shared.domain.durations import format_duration
from shared.domain.execution import UNFINISHED, Execution, Skip, SkipReason, Status
from shared.domain.instants import format_instant as at
from shared.domain.ledger import OccurrenceOutcome, first_of, outcome_of
from shared.domain.moments import Moment, is_excluded, is_owed, moment
from shared.domain.triggers import CronTrigger, ForeignTrigger
from shared.domain.why import WHY_SKIPPED
from shared.domain.workflow import Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is known of an instant: the records that stand for it, and who held the workflow then.

    The first record is that of the schedule itself, the others are backfills. `lasts` has the
    last instants on record of triggers that have come to their end, by their ids.
    """

    workflow: Workflow
    instant: datetime
    now: datetime
    retention: timedelta
    lasts: Mapping[str, datetime] = field(default_factory=dict)
    records: tuple[Execution, ...] = ()
    holder: Execution | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """The sentence, the record it tells of, and the nearest instants if there is none."""

    sentence: str
    record: Execution | None = None
    moment: Moment | None = None


def why_occurrence(question: Question) -> Account:
    """Explain what became of an instant, or why there is nothing at it."""
    if question.records:
        told = [_recorded(question, record) for record in question.records]
        return Account(" ".join(told), question.records[0])
    found = moment(question.workflow, question.instant, question.lasts)
    if found is None:
        return Account(_never(question.workflow))
    if question.instant < question.workflow.created_at:
        created = at(question.workflow.created_at)
        return Account(f"The workflow was created after that, at {created}.", moment=found)
    if found.triggers:
        return Account(_unrecorded(question, found), moment=found)
    return Account(_not_in_timetable(question, found), moment=found)


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
        when = f" {format_duration(late)} late" if late else " on time"
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
    holder, recorded = question.holder, at(record.created_at)
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


def _never(workflow: Workflow) -> str:
    if any(isinstance(t, ForeignTrigger) for t in workflow.definition.all_triggers.values()):
        return "Its trigger is of a kind that this release does not know, so nothing is said of it."
    return "There is no occurrence then: the workflow runs only when it is triggered by hand."


def _unrecorded(question: Question, found: Moment) -> str:
    """Say what is known of an instant that the timetable has and the ledger has not."""
    workflow, instant = question.workflow, question.instant
    if instant > question.now:
        return f"It is still to come{_halted(workflow)}."
    if any(is_owed(workflow, name, instant) for name in found.triggers):
        return _overdue(workflow)
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


def _not_in_timetable(question: Question, found: Moment) -> str:
    instant, triggers = question.instant, question.workflow.definition.all_triggers.values()
    causes = [_why_not(t, instant) for t in triggers if isinstance(t, CronTrigger)]
    cause = next(filter(None, causes), "")
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
