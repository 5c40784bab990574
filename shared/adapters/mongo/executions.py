"""Executions in MongoDB. Batches: one command for many executions, never one each."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from pymongo import DESCENDING, ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError

from shared.adapters.mongo.connection import Raw
from shared.adapters.mongo.crowds import Crowds
from shared.adapters.mongo.documents import BY_ID, DAWN, ONE_REPLY
from shared.adapters.mongo.errors import translated
from shared.adapters.mongo.execution_mapping import to_document, to_execution
from shared.adapters.mongo.execution_writes import (
    Patch,
    claim_update,
    claimable,
    operations,
    patch_of,
)
from shared.adapters.mongo.history_chunks import HistoryChunks
from shared.domain.execution import HOLDING, EventType, Execution, Lease, Status
from shared.domain.overlap import Crowd
from shared.ports.executions import (
    AddOutcome,
    Change,
    Claim,
    ExecutionQuery,
    RecordOutcome,
    Wake,
)

_DUPLICATE_KEY: Final = 11000
_TOO_LARGE: Final = frozenset({10334, 17419, 17420})
"""MongoDB's codes for a document that an update would make larger than 16 MiB."""

_SUMMARY: Final = {"history": 0, "actions": 0, "input": 0}
_WITHOUT_HISTORY: Final = {"history": 0}
_WAKE: Final = {"tenant": 1, "workflowId": 1, "wakeAt": 1, "resends": 1, "bufferKey": 1}
_ORPHANS: Final = {"activeKey": "orphans", "bufferKey": "buffered_orphans"}


class MongoExecutions:
    """The ExecutionRepository of production."""

    def __init__(self, collection: AsyncCollection[Raw]) -> None:
        self._executions = collection
        self._chunks = HistoryChunks(collection)
        self._crowds = Crowds(collection)

    async def add(self, executions: Sequence[Execution]) -> list[AddOutcome]:
        """See ExecutionRepository.add."""
        outcomes = [AddOutcome.ADDED] * len(executions)
        if not executions:
            return outcomes
        documents = [to_document(execution) for execution in executions]
        try:
            with translated():
                await self._executions.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            for index, outcome in _refusals(error):
                outcomes[index] = outcome
        return outcomes

    async def claim(self, ids: Sequence[str], lease: Lease, now: datetime) -> Claim:
        """See ExecutionRepository.claim."""
        asked = list(dict.fromkeys(ids))
        with translated():
            found = await self._claim(asked, lease, now)
            unknown = 0
            if len(found) < len(asked):
                unknown = len(asked) - await self._executions.count_documents(
                    {"_id": {"$in": asked}}
                )
            won = tuple(map(to_execution, found))
            recovered = await self._recovered_among(won)
        return Claim(won=won, unknown=unknown, recovered=recovered)

    async def _claim(self, asked: list[str], lease: Lease, now: datetime) -> list[Raw]:
        """Take what is claimable, and return what is held under the lease's token.

        A single one, as on an idle system, comes back with the command that takes it.
        """
        if len(asked) == 1:
            taken = await self._executions.find_one_and_update(
                claimable(asked, now),
                claim_update(lease, now),
                projection=_WITHOUT_HISTORY,
                return_document=ReturnDocument.AFTER,
            )
            if taken is not None:
                return [taken]
        else:
            await self._executions.update_many(claimable(asked, now), claim_update(lease, now))
        mine = {"_id": {"$in": asked}, "lease.token": lease.token}
        return await self._executions.find(mine, _WITHOUT_HISTORY, batch_size=ONE_REPLY).to_list()

    async def _recovered_among(self, won: Sequence[Execution]) -> int:
        """Count those whose last event is a recovery; only after a crash is there one to ask."""
        suspects = [execution.id for execution in won if execution.recoveries]
        if not suspects:
            return 0
        last_event = {"$arrayElemAt": ["$history.type", -1]}
        return await self._executions.count_documents(
            {
                "_id": {"$in": suspects},
                "$expr": {"$eq": [last_event, EventType.RECOVERED.value]},
            }
        )

    async def renew(self, owner: str, ids: Collection[str], until: datetime) -> frozenset[str]:
        """See ExecutionRepository.renew."""
        asked = list(ids)
        mine = {"_id": {"$in": asked}, "lease.owner": owner, "status": Status.RUNNING.value}
        with translated():
            result = await self._executions.update_many(
                mine, {"$set": {"lease.until": until, "wakeAt": until}}
            )
            if result.matched_count == len(asked):
                return frozenset()
            kept = await self._executions.find(mine, {"_id": 1}).to_list()
        return frozenset(asked) - {raw["_id"] for raw in kept}

    async def record(self, changes: Sequence[Change]) -> list[RecordOutcome]:
        """See ExecutionRepository.record."""
        patches = [patch_of(change) for change in changes]
        sent = [patch for patch in patches if patch]
        if not sent:
            return [RecordOutcome.UNSERIALISABLE] * len(changes)
        with translated():
            await self._chunks.prepare(changes)
        refusals, matched = await self._write(sent)
        applied = {patch.id for patch in sent}
        if matched < len(sent) - len(refusals):
            applied = await self._applied_among(changes)
        unstorable = {c.before.id for p, c in zip(patches, changes, strict=True) if p is None}
        refusals |= dict.fromkeys(unstorable, RecordOutcome.UNSERIALISABLE)
        with translated():
            await self._chunks.overflow(
                c for c in changes if c.before.id in applied and c.before.id not in refusals
            )
        return [
            refusals.get(change.before.id) or _outcome(applied=change.before.id in applied)
            for change in changes
        ]

    async def _write(self, patches: Sequence[Patch]) -> tuple[dict[str, RecordOutcome], int]:
        """Write all; return what MongoDB refused and why, and how many documents it found."""
        try:
            with translated():
                result = await self._executions.bulk_write(operations(patches), ordered=False)
        except BulkWriteError as error:
            codes = _codes(error)
            if _TOO_LARGE.isdisjoint(codes):
                return _busy(error), error.details["nMatched"]
            return await self._one_by_one(patches), 0
        return {}, result.matched_count

    async def _one_by_one(self, patches: Sequence[Patch]) -> dict[str, RecordOutcome]:
        """Write each alone, as one of a group failed all of it; return what was refused."""
        refusals: dict[str, RecordOutcome] = {}
        for patch in patches:
            try:
                with translated():
                    await self._executions.bulk_write(operations([patch]))
            except BulkWriteError as error:
                large = not _TOO_LARGE.isdisjoint(_codes(error))
                refusal = {patch.id: RecordOutcome.UNSERIALISABLE} if large else _busy(error)
                refusals |= refusal
        return refusals

    async def _applied_among(self, changes: Sequence[Change]) -> set[str]:
        """The reply of a bulk write is only a total, so the documents say which were applied."""
        ids = [change.before.id for change in changes]
        with translated():
            found = await self._executions.find(
                {"_id": {"$in": ids}}, {"seq": 1, "lease.token": 1, "lastToken": 1, "status": 1}
            ).to_list()
        stored = {raw["_id"]: raw for raw in found}
        return {c.before.id for c in changes if _is_applied(stored.get(c.before.id), c)}

    async def due(
        self, horizon: datetime, shards: Collection[int] | None, limit: int
    ) -> list[Wake]:
        """See ExecutionRepository.due."""
        query: dict[str, Any] = {"wakeAt": {"$gt": DAWN, "$lte": horizon}}
        if shards is not None:
            query["shard"] = {"$in": list(shards)}
        with translated():
            cursor = self._executions.find(query, _WAKE, batch_size=ONE_REPLY)
            found = await cursor.sort("wakeAt").limit(limit).to_list()
        return [
            Wake(
                raw["_id"],
                raw["tenant"],
                raw["workflowId"],
                raw["wakeAt"].replace(tzinfo=UTC),
                raw["resends"],
                "bufferKey" in raw,
            )
            for raw in found
        ]

    async def postpone(
        self, wakes: Sequence[Wake], now: datetime, until: datetime, *, resend: bool
    ) -> list[Wake]:
        """See ExecutionRepository.postpone."""
        ids = [wake.id for wake in wakes]
        update: dict[str, Any] = {"$set": {"wakeAt": until}}
        if resend:
            update["$inc"] = {"resends": 1}
        with translated():
            result = await self._executions.update_many(
                {"_id": {"$in": ids}, "wakeAt": {"$gt": DAWN, "$lte": now}}, update, hint=BY_ID
            )
            if result.matched_count == len(ids):
                return list(wakes)
            found = await self._executions.find(
                {"_id": {"$in": ids}, "wakeAt": until}, {"_id": 1}, hint=BY_ID
            ).to_list()
        moved = {raw["_id"] for raw in found}
        return [wake for wake in wakes if wake.id in moved]

    async def get(self, tenant: str, execution_id: str) -> Execution | None:
        """See ExecutionRepository.get."""
        with translated():
            raw = await self._executions.find_one({"_id": execution_id, "tenant": tenant})
            found = await self._chunks.whole([raw]) if raw else []
        return to_execution(found[0]) if found else None

    async def find(self, query: ExecutionQuery) -> list[Execution]:
        """See ExecutionRepository.find."""
        return await self._find(query, _SUMMARY)

    async def find_whole(self, query: ExecutionQuery) -> list[Execution]:
        """See ExecutionRepository.find_whole."""
        return await self._find(query, None)

    async def _find(self, query: ExecutionQuery, parts: Raw | None) -> list[Execution]:
        newest = [("createdAt", DESCENDING), ("_id", DESCENDING)]
        with translated():
            found = self._executions.find(_filter(query), parts).sort(newest).limit(query.limit)
            documents = await found.to_list()
            whole = await self._chunks.whole(documents) if parts is None else documents
        return [to_execution(raw) for raw in whole]

    async def active(self, active_keys: Collection[str]) -> Mapping[str, Execution]:
        """See ExecutionRepository.active."""
        query = {"activeKey": {"$in": list(active_keys)}}
        with translated():
            cursor = self._executions.find(query, _SUMMARY, batch_size=ONE_REPLY)
            found = await cursor.to_list()
        return {raw["activeKey"]: to_execution(raw) for raw in found}

    async def crowds(self, workflow_keys: Collection[str]) -> Mapping[str, Crowd]:
        """See ExecutionRepository.crowds."""
        with translated():
            return await self._crowds.of(workflow_keys)

    async def buffered(self, workflow_key: str, limit: int) -> list[Execution]:
        """See ExecutionRepository.buffered."""
        with translated():
            return await self._crowds.oldest(workflow_key, limit)

    async def orphans(self) -> int:
        """See ExecutionRepository.orphans."""
        with translated():
            counts = await asyncio.gather(
                *(
                    self._executions.count_documents({key: {"$gt": ""}, "wakeAt": None}, hint=hint)
                    for key, hint in _ORPHANS.items()
                )
            )
        return sum(counts)


def _refusals(error: BulkWriteError) -> list[tuple[int, AddOutcome]]:
    """Read which inserts met which unique index; any other write error is raised as it is."""
    refusals = []
    for problem in error.details["writeErrors"]:
        if problem["code"] != _DUPLICATE_KEY:
            raise error
        busy = "_id" not in problem["keyPattern"]
        refusals.append((problem["index"], AddOutcome.BUSY if busy else AddOutcome.DUPLICATE))
    return refusals


def _codes(error: BulkWriteError) -> set[int]:
    return {problem["code"] for problem in error.details["writeErrors"]}


def _busy(error: BulkWriteError) -> dict[str, RecordOutcome]:
    """Read which updates met the unique index; any other write error is raised as it is."""
    if _codes(error) != {_DUPLICATE_KEY}:
        raise error
    met = (problem["op"]["q"]["_id"] for problem in error.details["writeErrors"])
    return dict.fromkeys(met, RecordOutcome.BUSY)


def _outcome(*, applied: bool) -> RecordOutcome:
    return RecordOutcome.APPLIED if applied else RecordOutcome.REFUSED


def _is_applied(raw: Raw | None, change: Change) -> bool:
    lease = change.before.lease
    if raw is None or lease is None:
        return False
    if (raw["seq"], raw["status"]) != (change.after.seq, change.after.status.value):
        return False
    return lease.token in {raw.get("lease", {}).get("token"), raw.get("lastToken")}


def _filter(query: ExecutionQuery) -> dict[str, Any]:
    wanted: dict[str, Any] = {"tenant": query.tenant}
    if query.workflow_id is not None:
        wanted["workflowId"] = query.workflow_id
    if query.statuses:
        wanted["status"] = {"$in": [status.value for status in query.statuses]}
        for key, statuses in (("activeKey", HOLDING), ("bufferKey", {Status.BUFFERED})):
            if query.statuses <= statuses:
                # True of all of them, and few have it: an index knows which.
                wanted[key] = {"$gt": ""}
    created: dict[str, datetime] = {}
    if query.created_from is not None:
        created["$gte"] = query.created_from
    if query.created_to is not None:
        created["$lt"] = query.created_to
    if created:
        wanted["createdAt"] = created
    if query.after is not None:
        at, last_id = query.after
        wanted["$or"] = [{"createdAt": {"$lt": at}}, {"createdAt": at, "_id": {"$lt": last_id}}]
    return wanted
