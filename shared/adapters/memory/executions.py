"""Executions in memory: the reference for what the contract means, and a fast stand-in."""

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.execution import UNFINISHED, EventType, Execution, Lease
from shared.domain.identity import number_in
from shared.domain.overlap import Crowd
from shared.domain.storable import MAX_DOCUMENT, problems_in, size_of
from shared.domain.transitions import claim, is_claimable
from shared.ports.executions import (
    AddOutcome,
    Change,
    Claim,
    ExecutionQuery,
    RecordOutcome,
    Wake,
)


class MemoryExecutions:
    """An ExecutionRepository in a dict. Each method is atomic: none awaits anything."""

    def __init__(self) -> None:
        self._by_id: dict[str, Execution] = {}
        self._holders: dict[str, str] = {}
        self._waiting: dict[str, str] = {}

    async def add(self, executions: Sequence[Execution]) -> list[AddOutcome]:
        """See ExecutionRepository.add."""
        return [self._add(execution) for execution in executions]

    def _add(self, execution: Execution) -> AddOutcome:
        if execution.id in self._by_id:
            return AddOutcome.DUPLICATE
        if execution.active_key and execution.active_key in self._holders:
            return AddOutcome.BUSY
        if execution.buffer_key and execution.buffer_key in self._waiting:
            return AddOutcome.BUSY
        self._put(execution)
        return AddOutcome.ADDED

    async def claim(self, ids: Sequence[str], lease: Lease, now: datetime) -> Claim:
        """See ExecutionRepository.claim."""
        known = [self._by_id[i] for i in dict.fromkeys(ids) if i in self._by_id]
        for execution in known:
            if is_claimable(execution, now):
                self._put(claim(execution, lease, now))
        mine = (self._by_id[e.id] for e in known)
        won = tuple(e for e in mine if e.lease and e.lease.token == lease.token)
        recovered = sum(e.history[-1].type is EventType.RECOVERED for e in won)
        return Claim(won=won, unknown=len(set(ids)) - len(known), recovered=recovered)

    async def renew(self, owner: str, ids: Collection[str], until: datetime) -> frozenset[str]:
        """See ExecutionRepository.renew."""
        lost = set()
        for execution_id in ids:
            execution = self._by_id.get(execution_id)
            if execution and execution.lease and execution.lease.owner == owner:
                lease = replace(execution.lease, until=until)
                self._put(replace(execution, lease=lease, wake_at=until))
            else:
                lost.add(execution_id)
        return frozenset(lost)

    async def record(self, changes: Sequence[Change]) -> list[RecordOutcome]:
        """See ExecutionRepository.record."""
        return [self._record(change) for change in changes]

    def _record(self, change: Change) -> RecordOutcome:
        if not _is_storable(change.after):
            return RecordOutcome.UNSERIALISABLE
        before, stored = change.before, self._by_id.get(change.before.id)
        if stored is None or stored.seq != before.seq or _token(stored) != _token(before):
            return _was_applied(stored, change)
        key = change.after.active_key
        if key and self._holders.get(key, before.id) != before.id:
            return RecordOutcome.BUSY
        happened = change.after.history[len(before.history) :]
        after = replace(
            change.after,
            input=stored.input,
            history=(*stored.history, *happened),
        )
        if stored.lease and after.lease and after.lease.token == stored.lease.token:
            after = replace(after, lease=stored.lease, wake_at=stored.wake_at)
        self._put(after)
        return RecordOutcome.APPLIED

    async def due(
        self, horizon: datetime, shards: Collection[int] | None, limit: int
    ) -> list[Wake]:
        """See ExecutionRepository.due."""
        found = [
            Wake(e.id, e.tenant, e.workflow_id, e.wake_at, e.resends, bool(e.buffer_key))
            for e in self._by_id.values()
            if e.wake_at and e.wake_at <= horizon and (shards is None or e.shard in shards)
        ]
        return sorted(found, key=lambda wake: wake.wake_at)[:limit]

    async def postpone(
        self, wakes: Sequence[Wake], now: datetime, until: datetime, *, resend: bool
    ) -> list[Wake]:
        """See ExecutionRepository.postpone."""
        moved = []
        for wake in wakes:
            execution = self._by_id.get(wake.id)
            if execution and execution.wake_at and execution.wake_at <= now:
                resends = execution.resends + int(resend)
                self._put(replace(execution, wake_at=until, resends=resends))
                moved.append(wake)
        return moved

    async def get(self, tenant: str, execution_id: str) -> Execution | None:
        """See ExecutionRepository.get."""
        execution = self._by_id.get(execution_id)
        return execution if execution and execution.tenant == tenant else None

    async def find(self, query: ExecutionQuery) -> list[Execution]:
        """See ExecutionRepository.find."""
        return [_summary(e) for e in await self.find_whole(query)]

    async def find_whole(self, query: ExecutionQuery) -> list[Execution]:
        """See ExecutionRepository.find_whole."""
        found = sorted(
            (e for e in self._by_id.values() if _matches(e, query)),
            key=lambda e: (e.created_at, e.id),
            reverse=True,
        )
        return found[: query.limit]

    async def active(self, active_keys: Collection[str]) -> Mapping[str, Execution]:
        """See ExecutionRepository.active."""
        return {
            key: _summary(self._by_id[self._holders[key]])
            for key in active_keys
            if key in self._holders
        }

    async def crowds(self, workflow_keys: Collection[str]) -> Mapping[str, Crowd]:
        """See ExecutionRepository.crowds."""
        slots = _numbers(self._holders, workflow_keys)
        places = _numbers(self._waiting, workflow_keys)
        return {
            key: Crowd(frozenset(slots.get(key, ())), frozenset(places.get(key, ())))
            for key in slots.keys() | places.keys()
        }

    async def buffered(self, workflow_key: str, limit: int) -> list[Execution]:
        """See ExecutionRepository.buffered."""
        own = (i for key, i in self._waiting.items() if number_in(key)[0] == workflow_key)
        found = sorted((self._by_id[i] for i in own), key=lambda e: e.age)
        return [replace(e, history=(), input=None) for e in found[:limit]]

    async def orphans(self) -> int:
        """See ExecutionRepository.orphans."""
        return sum(e.status in UNFINISHED and e.wake_at is None for e in self._by_id.values())

    async def touched(
        self, since: datetime, shortest_retention: timedelta
    ) -> AsyncIterator[Sequence[Execution]]:
        """See ExecutionArchive.touched."""
        _ = shortest_retention
        yield [e for e in self._by_id.values() if any(event.at >= since for event in e.history)]

    def stored(self) -> Iterable[Execution]:
        """Return all there are, for what reads them in other ways."""
        return self._by_id.values()

    def _put(self, execution: Execution) -> None:
        before = self._by_id.get(execution.id)
        if before and before.active_key:
            self._holders.pop(before.active_key, None)
        if before and before.buffer_key:
            self._waiting.pop(before.buffer_key, None)
        if execution.active_key:
            self._holders[execution.active_key] = execution.id
        if execution.buffer_key:
            self._waiting[execution.buffer_key] = execution.id
        self._by_id[execution.id] = execution


def _numbers(keys: Iterable[str], workflow_keys: Collection[str]) -> dict[str, set[int]]:
    """Return the numbers in keys of some workflows, by workflow."""
    found: dict[str, set[int]] = defaultdict(set)
    for key in keys:
        workflow, number = number_in(key)
        if workflow in workflow_keys:
            found[workflow].add(number)
    return found


def _was_applied(stored: Execution | None, change: Change) -> RecordOutcome:
    token = _token(change.before)
    if stored is None or token is None:
        return RecordOutcome.REFUSED
    if (stored.seq, stored.status) != (change.after.seq, change.after.status):
        return RecordOutcome.REFUSED
    mine = token in {_token(stored), stored.last_token}
    return RecordOutcome.APPLIED if mine else RecordOutcome.REFUSED


def _is_storable(execution: Execution) -> bool:
    outputs = [state.output for state in execution.actions.values()]
    said = execution.error.message if execution.error else None
    if any(next(problems_in(value), None) for value in [*outputs, said]):
        return False
    return sum(size_of(output) for output in outputs) < MAX_DOCUMENT


def _matches(execution: Execution, query: ExecutionQuery) -> bool:
    return (
        execution.tenant == query.tenant
        and query.workflow_id in {None, execution.workflow_id}
        and (not query.statuses or execution.status in query.statuses)
        and (query.created_from is None or execution.created_at >= query.created_from)
        and (query.created_to is None or execution.created_at < query.created_to)
        and (query.after is None or (execution.created_at, execution.id) < query.after)
    )


def _summary(execution: Execution) -> Execution:
    return replace(execution, history=(), actions={}, input=None)


def _token(execution: Execution) -> str | None:
    return execution.lease.token if execution.lease else None
