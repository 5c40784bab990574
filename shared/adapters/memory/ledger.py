"""The ledger in memory: the reference for what the contract means."""

from datetime import datetime

from shared.adapters.memory.executions import MemoryExecutions
from shared.domain.execution import Execution, Status
from shared.domain.ledger import first_of, last_of, outcome_of
from shared.ports.ledger import OccurrenceQuery


class MemoryLedger:
    """An OccurrenceLedger over executions in memory."""

    def __init__(self, executions: MemoryExecutions) -> None:
        self._executions = executions

    async def find(self, query: OccurrenceQuery) -> list[Execution]:
        """See OccurrenceLedger.find."""
        found = sorted(
            (
                record
                for record in self._records(query.tenant, query.workflow_id)
                if first_of(record) < query.until
                and last_of(record) >= query.since
                and outcome_of(record) in query.outcomes
                and (query.after is None or (first_of(record), record.id) < query.after)
            ),
            key=lambda record: (first_of(record), record.id),
            reverse=True,
        )
        return found[: query.limit]

    async def ended(
        self, tenant: str, workflow_id: str, since: datetime | None, limit: int
    ) -> list[Execution]:
        """See OccurrenceLedger.ended."""
        found = [
            record
            for record in self._records(tenant, workflow_id)
            if record.status in {Status.COMPLETED, Status.FAILED, Status.CANCELLED}
            and not record.is_backfill
            and (since is None or record.created_at >= since)
        ]
        return sorted(found, key=lambda record: (record.created_at, record.id), reverse=True)[
            :limit
        ]

    async def latest(self, tenant: str, workflow_id: str, trigger_id: str) -> Execution | None:
        """See OccurrenceLedger.latest."""
        found = [
            record
            for record in self._records(tenant, workflow_id)
            if record.trigger_id == trigger_id and not record.is_backfill
        ]
        return max(found, key=first_of, default=None)

    def _records(self, tenant: str, workflow_id: str) -> list[Execution]:
        return [
            execution.evolve(history=(), actions={}, input=None)
            for execution in self._executions.stored()
            if (execution.tenant, execution.workflow_id) == (tenant, workflow_id)
            and execution.scheduled_for is not None
        ]
