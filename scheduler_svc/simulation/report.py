"""What came of a simulation, in numbers."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from shared.contracts.schedules import warning_view
from shared.contracts.simulation import MinuteLoad, SimulatedOccurrence, SimulatedWorkflow
from shared.domain.execution import Execution, Status
from shared.domain.ledger import OccurrenceOutcome, first_of, outcome_of
from shared.domain.schedule_warnings import schedule_warnings
from shared.domain.workflow import Workflow

MOST_LISTED: Final = 10_000


def occurrences(
    workflows: Sequence[Workflow], executions: Sequence[Execution]
) -> list[SimulatedOccurrence]:
    """Return what became of each instant, in their order."""
    several = {workflow.id for workflow in workflows if _has_several(workflow)}
    found = [
        SimulatedOccurrence(
            at=first_of(execution),
            workflow_id=execution.workflow_id,
            trigger=execution.trigger_id if execution.workflow_id in several else None,
            outcome=_outcome(execution),
            count=execution.skip.count if execution.skip else 1,
            starts_at=execution.started_at if _waited(execution) else None,
            replaced_at=execution.finished_at if _replaced(execution) else None,
        )
        for execution in executions
    ]
    return sorted(found, key=lambda one: (one.at, one.workflow_id))


def per_workflow(
    workflows: Sequence[Workflow],
    executions: Sequence[Execution],
    since: datetime,
    until: datetime,
) -> Iterator[SimulatedWorkflow]:
    """Yield what became of each workflow."""
    found: dict[str, list[Execution]] = {}
    for execution in executions:
        found.setdefault(execution.workflow_id, []).append(execution)
    for workflow in workflows:
        own = found.get(workflow.id, [])
        outcomes = Counter(map(outcome_of, own))
        yield SimulatedWorkflow(
            workflow_id=workflow.id,
            fires=outcomes[OccurrenceOutcome.FIRED],
            buffered=sum(map(_waited, own)),
            replaced=sum(map(_replaced, own)),
            waiting=outcomes[OccurrenceOutcome.BUFFERED],
            skipped=_skipped(own),
            triggers=_by_trigger(workflow, own) if _has_several(workflow) else None,
            occurrences=len(own),
            warnings=[warning_view(said) for said in schedule_warnings(workflow, since, until)],
        )


def load(executions: Sequence[Execution]) -> list[MinuteLoad]:
    """Return in which minutes of the day how much fired, at the instants at which it did."""
    fired = Counter(f"{e.started_at:%H:%M}" for e in executions if e.started_at)
    return [MinuteLoad(minute=minute, fires=n) for minute, n in sorted(fired.items())]


def _has_several(workflow: Workflow) -> bool:
    return workflow.definition.triggers is not None


def _by_trigger(workflow: Workflow, executions: Sequence[Execution]) -> dict[str, int]:
    counts = Counter(execution.trigger_id for execution in executions)
    return {name: counts[name] for name in workflow.definition.all_triggers}


def _outcome(execution: Execution) -> str:
    return execution.skip.reason.value if execution.skip else outcome_of(execution).value


def _waited(execution: Execution) -> bool:
    """Tell whether it started later than it came, which without a buffer nothing does."""
    return execution.started_at is not None and execution.started_at > execution.created_at


def _replaced(execution: Execution) -> bool:
    """Tell whether it was cancelled: nobody but its successor does that here."""
    return execution.status is Status.CANCELLED


def _skipped(executions: Sequence[Execution]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for execution in executions:
        if execution.skip is not None:
            counts[execution.skip.reason.value] += execution.skip.count
    return dict(sorted(counts.items()))
