"""What came of a simulation, in numbers."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from shared.contracts.schedules import WarningView, warning_view
from shared.contracts.simulation import MinuteLoad, SimulatedOccurrence, SimulatedWorkflow
from shared.domain.execution import Execution
from shared.domain.ledger import OccurrenceOutcome, first_of
from shared.domain.schedule_warnings import schedule_warnings
from shared.domain.workflow import Workflow

MOST_LISTED: Final = 10_000
FIRED: Final = OccurrenceOutcome.FIRED.value


def occurrences(executions: Sequence[Execution]) -> list[SimulatedOccurrence]:
    """Return what became of each instant, in their order."""
    found = [
        SimulatedOccurrence(
            at=first_of(execution),
            workflow_id=execution.workflow_id,
            outcome=execution.skip.reason.value if execution.skip else FIRED,
            count=execution.skip.count if execution.skip else 1,
        )
        for execution in executions
    ]
    return sorted(found, key=lambda one: (one.at, one.workflow_id))


def per_workflow(
    workflows: Sequence[Workflow], executions: Sequence[Execution], now: datetime
) -> Iterator[SimulatedWorkflow]:
    """Yield what became of each workflow."""
    counts: Counter[tuple[str, str]] = Counter()
    for execution in executions:
        skip = execution.skip
        outcome, count = (skip.reason.value, skip.count) if skip else (FIRED, 1)
        counts[execution.workflow_id, outcome] += count
    for workflow in workflows:
        own = {outcome: n for (name, outcome), n in sorted(counts.items()) if name == workflow.id}
        yield SimulatedWorkflow(
            workflow_id=workflow.id,
            fires=own.pop(FIRED, 0),
            skipped=own,
            warnings=_warnings(workflow, now),
        )


def load(executions: Sequence[Execution]) -> list[MinuteLoad]:
    """Return in which minutes of the day how much fired, at the instants at which it did."""
    fired = Counter(f"{e.created_at:%H:%M}" for e in executions if not e.skip)
    return [MinuteLoad(minute=minute, fires=n) for minute, n in sorted(fired.items())]


def _warnings(workflow: Workflow, now: datetime) -> list[WarningView]:
    return [warning_view(warning) for warning in schedule_warnings(workflow, now)]
