"""Long histories: their older events lie in chunks beside the execution, in order.

A chunk is written before its events leave the execution's document. A crash in
between leaves them in both places, which reading sorts out by their numbers and the
next overflow finishes.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from pymongo import ASCENDING
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from shared.adapters.mongo.connection import Raw
from shared.adapters.mongo.documents import HistoryChunkDocument
from shared.ports.executions import Change

EVERY: Final = 100
"""After so many events it is looked whether a history has to overflow."""

_KEPT: Final = 20
"""The newest events, which stay with the execution."""


class HistoryChunks:
    """The overflow of the histories of a collection of executions."""

    def __init__(self, executions: AsyncCollection[Raw]) -> None:
        self._executions = executions
        name = HistoryChunkDocument.Settings.name
        self._chunks: AsyncCollection[Raw] = executions.database[name]

    async def prepare(self, changes: Sequence[Change]) -> None:
        """Let the chunks of executions that end expire with them, and those of no others."""
        for change in changes:
            expiry = change.after.expires_at
            if change.before.expires_at != expiry and change.after.seq >= EVERY:
                await self._chunks.update_many(
                    {"executionId": change.before.id}, {"$set": {"expiresAt": expiry}}
                )

    async def overflow(self, changes: Iterable[Change]) -> None:
        """Move the older events of those that have grown past another hundred."""
        for change in changes:
            if change.before.seq // EVERY != change.after.seq // EVERY:
                await self._overflow(change.before.id, change.after.expires_at)

    async def _overflow(self, execution_id: str, expires_at: datetime | None) -> None:
        found = await self._executions.find_one({"_id": execution_id}, {"history": 1})
        if found is None or len(found["history"]) <= _KEPT:
            return
        older = found["history"][:-_KEPT]
        first, last = older[0]["seq"], older[-1]["seq"]
        chunk: dict[str, Any] = {
            "_id": f"{execution_id}:{first}",
            "executionId": execution_id,
            "first": first,
            "last": last,
            "events": older,
            "expiresAt": expires_at,
        }
        try:
            await self._chunks.insert_one(chunk)
        except DuplicateKeyError:
            there = await self._chunks.find_one({"_id": chunk["_id"]}, {"last": 1})
            last = there["last"] if there else 0
        await self._executions.update_one(
            {"_id": execution_id},
            {"$pull": {"history": {"seq": {"$lte": last}}}, "$set": {"chunked": True}},
        )

    async def whole(self, documents: Sequence[Raw]) -> list[Raw]:
        """Return the documents with the events that overflowed put before the others."""
        chunked = [raw["_id"] for raw in documents if raw.get("chunked")]
        if not chunked:
            return list(documents)
        older: dict[str, list[Raw]] = {execution_id: [] for execution_id in chunked}
        cursor = self._chunks.find({"executionId": {"$in": chunked}}).sort(
            [("executionId", ASCENDING), ("first", ASCENDING)]
        )
        for chunk in await cursor.to_list():
            older[chunk["executionId"]] += chunk["events"]
        return [
            {**raw, "history": _merged(older[raw["_id"]], raw["history"])}
            if raw["_id"] in older
            else raw
            for raw in documents
        ]


def _merged(older: Iterable[Raw], newer: Iterable[Raw]) -> list[Raw]:
    """Put events in order, each once: after a crash some are in both places."""
    by_number = {event["seq"]: event for events in (older, newer) for event in events}
    return [by_number[seq] for seq in sorted(by_number)]
