"""Executions that a schedule gives rise to: the one that runs, and those that do not."""

from datetime import datetime

from shared.domain import transitions
from shared.domain.due import DueWorkflow
from shared.domain.execution import Execution, Skip, SkipReason, Status
from shared.domain.identity import occurrence_id
from shared.domain.ledger import first_of, last_of
from shared.domain.outcomes import Timing


def occurrence(due: DueWorkflow, fire_at: datetime, now: datetime, timing: Timing) -> Execution:
    """Return the queued execution of a workflow's instant; it holds the workflow."""
    born = Execution(
        id=occurrence_id(due.tenant, due.workflow_id, due.trigger_id, fire_at),
        tenant=due.tenant,
        workflow_id=due.workflow_id,
        version=due.version,
        trigger_id=due.trigger_id,
        status=Status.QUEUED,
        created_at=now,
        scheduled_for=fire_at,
        deadline=max(now, fire_at) + due.timeout if due.timeout else None,
        retries_left=due.retries,
        active_key=due.key,
    )
    return transitions.queue(born, now + timing.resend, due.tzdata)


def overlapped(execution: Execution, timing: Timing) -> Execution:
    """Return what is recorded of an occurrence that met an unfinished execution."""
    instant = first_of(execution)
    reason = Skip(SkipReason.OVERLAP, instant, instant, 1)
    tzdata = execution.history[0].tzdata
    unborn = execution.evolve(history=())
    return transitions.skip(unborn, reason, timing.retention, tzdata)


def recorded_until(there: Execution | None, instant: datetime) -> datetime:
    """Return the last instant that the record of `instant` stands for."""
    return last_of(there) if there and there.skip else instant


def counts(there: Execution | None) -> bool:
    """Tell whether the record of an instant counts as a fire of its trigger.

    It does if it was queued or buffered, also if a newer one took its place later: by then
    another process may have counted it. A record that has expired is taken to count.
    """
    return there is None or there.skip is None or there.seq > 1


def skipped_occurrence(due: DueWorkflow, reason: Skip, now: datetime, timing: Timing) -> Execution:
    """Return what is recorded of instants that nothing ran for; its id is that of the first."""
    born = Execution(
        id=occurrence_id(due.tenant, due.workflow_id, due.trigger_id, reason.first),
        tenant=due.tenant,
        workflow_id=due.workflow_id,
        version=due.version,
        trigger_id=due.trigger_id,
        status=Status.SKIPPED,
        created_at=now,
        scheduled_for=reason.first,
    )
    return transitions.skip(born, reason, timing.retention, due.tzdata)
