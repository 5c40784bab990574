"""What the core needs of the place where the records of occurrences are kept."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.execution import Execution
from shared.domain.ledger import OccurrenceOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class OccurrenceQuery:
    """Which records of a workflow's schedule to list: of instants from `since`, before `until`.

    `after` is instant and id of the last record of the page before.
    """

    tenant: str
    workflow_id: str
    since: datetime
    until: datetime
    outcomes: Collection[OccurrenceOutcome] = frozenset(OccurrenceOutcome)
    after: tuple[datetime, str] | None = None
    limit: int = 50


class OccurrenceLedger(Protocol):
    """Reads the executions that a schedule gave rise to, as summaries (see ExecutionRepository).

    Every method raises Unavailable when the storage does not answer.
    """

    async def find(self, query: OccurrenceQuery) -> list[Execution]:
        """Return at most `query.limit` records by their first instant and id, latest first.

        A record of a range is among them if the range reaches into the span, wherever it
        began. Executions that somebody asked for are not. The cost depends on the page,
        not on what is stored.
        """
        ...

    async def ended(
        self, tenant: str, workflow_id: str, since: datetime | None, limit: int
    ) -> list[Execution]:
        """Return the last executions of the schedule that ran and ended, latest created first.

        Runs of backfills are not among them. Only those created at or after `since`, if it
        is given.
        """
        ...

    async def latest(self, tenant: str, workflow_id: str, trigger_id: str) -> Execution | None:
        """Return what the schedule has on record of a trigger last, by the first instant.

        Runs of backfills do not count. None if nothing is on record.
        """
        ...
