"""Executions whose changes are told to the outside: the one place where that is done."""

from collections.abc import Sequence
from datetime import datetime

from shared.domain.execution import Execution, Lease
from shared.domain.lifecycle import LifecycleEvent, lifecycle_events, started
from shared.ports.executions import (
    AddOutcome,
    Change,
    Claim,
    ExecutionRepository,
    RecordOutcome,
)
from shared.runtime.event_journal import EventJournal


class PublishingExecutions:
    """An ExecutionRepository that hands what another one stored to a journal of events."""

    def __init__(self, executions: ExecutionRepository, journal: EventJournal) -> None:
        self._executions = executions
        self._journal = journal
        self.renew = executions.renew
        self.due = executions.due
        self.postpone = executions.postpone
        self.get = executions.get
        self.find = executions.find
        self.find_whole = executions.find_whole
        self.active = executions.active
        self.crowds = executions.crowds
        self.buffered = executions.buffered
        self.orphans = executions.orphans

    async def add(self, executions: Sequence[Execution]) -> list[AddOutcome]:
        """See ExecutionRepository.add."""
        told = [list(lifecycle_events(e, e.history)) for e in executions]
        earliest = _earliest(told)
        if earliest is None:
            return await self._executions.add(executions)
        with self._journal.call(await self._journal.open(earliest)) as events:
            outcomes = await self._executions.add(executions)
            for outcome, own in zip(outcomes, told, strict=True):
                if outcome is AddOutcome.ADDED:
                    events.extend(own)
        return outcomes

    async def claim(self, ids: Sequence[str], lease: Lease, now: datetime) -> Claim:
        """See ExecutionRepository.claim.

        What an earlier call with the same token won started before `now`. That call
        failed, so the journal has its events from the storage.
        """
        with self._journal.call(await self._journal.open(now)) as events:
            claim = await self._executions.claim(ids, lease, now)
            events += [event for e in claim.won if (event := started(e, now))]
        return claim

    async def record(self, changes: Sequence[Change]) -> list[RecordOutcome]:
        """See ExecutionRepository.record."""
        told = [
            list(lifecycle_events(c.after, c.after.history[len(c.before.history) :]))
            for c in changes
        ]
        earliest = _earliest(told)
        if earliest is None:
            return await self._executions.record(changes)
        with self._journal.call(await self._journal.open(earliest)) as events:
            outcomes = await self._executions.record(changes)
            for outcome, own in zip(outcomes, told, strict=True):
                if outcome is RecordOutcome.APPLIED:
                    events.extend(own)
        return outcomes


def _earliest(told: Sequence[Sequence[LifecycleEvent]]) -> datetime | None:
    return min((event.at for own in told for event in own), default=None)
