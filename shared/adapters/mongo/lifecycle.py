"""What makes lifecycle events survive a crash, in MongoDB: watermarks, and a way to the past."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError

from shared.adapters.mongo.connection import MongoConnection, Raw
from shared.adapters.mongo.errors import translated
from shared.adapters.mongo.execution_mapping import to_execution
from shared.adapters.mongo.history_chunks import HistoryChunks
from shared.domain.execution import Execution
from shared.ports.lifecycle import Watermark

_MILLISECOND: Final = timedelta(milliseconds=1)
_TOLD: Final = {"actions": 0, "input": 0}
PAGE: Final = 2000


class MongoWatermarks:
    """The WatermarkRepository of production."""

    def __init__(self, connection: MongoConnection) -> None:
        self._marks = connection.event_publishers

    async def save(self, mark: Watermark) -> None:
        """See WatermarkRepository.save."""
        older = {"_id": mark.publisher, "revision": {"$lt": mark.revision}}
        with translated():
            try:
                await self._marks.update_one(older, {"$set": _fields(mark)}, upsert=True)
            except DuplicateKeyError:
                # A newer word is there, so the filter found nothing and the insert was refused.
                return

    async def remove(self, publisher: str) -> None:
        """See WatermarkRepository.remove."""
        with translated():
            await self._marks.delete_one({"_id": publisher})

    async def lapsed(self, now: datetime, limit: int) -> list[Watermark]:
        """See WatermarkRepository.lapsed."""
        query = {"beatUntil": {"$lt": now}}
        with translated():
            found = await self._marks.find(query).sort("beatUntil").limit(limit).to_list()
        return [_mark(raw) for raw in found]

    async def take_over(self, mark: Watermark, until: datetime) -> Watermark | None:
        """See WatermarkRepository.take_over."""
        with translated():
            result = await self._marks.update_one(_exactly(mark), {"$set": {"beatUntil": until}})
        return replace(mark, beat_until=until) if result.matched_count else None

    async def settle(self, mark: Watermark) -> None:
        """See WatermarkRepository.settle."""
        with translated():
            await self._marks.delete_one(_exactly(mark))

    async def shortest_retention(self) -> timedelta | None:
        """See WatermarkRepository.shortest_retention."""
        with translated():
            raw = await self._marks.find_one({}, sort=[("retention", 1)])
        return raw["retention"] * _MILLISECOND if raw else None


class MongoArchive:
    """The ExecutionArchive of production.

    It looks at every unfinished execution, by its buffer key or its active key, and at
    those that finished since, by when they expire. That is the order in which an execution
    passes through them, so what goes on meanwhile is met again. No command looks at more
    than about a page, however much is stored.
    """

    def __init__(self, collection: AsyncCollection[Raw], page: int = PAGE) -> None:
        self._executions = collection
        self._chunks = HistoryChunks(collection)
        self._page = page

    async def touched(
        self, since: datetime, shortest_retention: timedelta
    ) -> AsyncIterator[Sequence[Execution]]:
        """See ExecutionArchive.touched."""
        for field in ("bufferKey", "activeKey"):
            async for page in self._pages(field, "", since):
                yield page
        first = since + shortest_retention - _MILLISECOND
        async for page in self._pages("expiresAt", first, since):
            yield page

    async def _pages(
        self, field: str, after: Any, since: datetime
    ) -> AsyncIterator[Sequence[Execution]]:
        last = None
        while last is None or last:
            beyond = {field: {"$gt": after}}
            with translated():
                ahead = self._executions.find(beyond, {field: 1, "_id": 0}).sort(field)
                last = await ahead.skip(self._page - 1).limit(1).to_list()
                if last:
                    beyond[field]["$lte"] = after = last[0][field]
                wanted = {**beyond, "history.at": {"$gte": since}}
                found = await self._executions.find(wanted, _TOLD).to_list()
                found = await self._chunks.whole(found)
            yield [to_execution(raw) for raw in found]


def _fields(mark: Watermark) -> dict[str, Any]:
    return {
        "publishedUntil": mark.published_until,
        "beatUntil": mark.beat_until,
        "revision": mark.revision,
        "retention": mark.retention // _MILLISECOND,
    }


def _exactly(mark: Watermark) -> dict[str, Any]:
    return {"_id": mark.publisher, **_fields(mark)}


def _mark(raw: Raw) -> Watermark:
    return Watermark(
        raw["_id"],
        raw["publishedUntil"].replace(tzinfo=UTC),
        raw["beatUntil"].replace(tzinfo=UTC),
        raw["revision"],
        raw["retention"] * _MILLISECOND,
    )
