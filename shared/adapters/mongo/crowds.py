"""What is taken of workflows, read from the keys in the unique indexes alone."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Final

from pymongo.asynchronous.collection import AsyncCollection

from shared.adapters.mongo.connection import Raw
from shared.adapters.mongo.documents import ONE_REPLY
from shared.adapters.mongo.execution_mapping import to_execution
from shared.domain.execution import Execution
from shared.domain.identity import key_limit, number_in
from shared.domain.overlap import Crowd

_WITHOUT_HISTORY: Final = {"history": 0, "input": 0}
_OLDEST: Final = [("createdAt", 1), ("scheduledFor", 1), ("_id", 1)]
_RANGES: Final = 100
"""So many workflows are asked about in one command: each is a range of its own."""


class Crowds:
    """Reads crowds; the caller translates the driver's errors."""

    def __init__(self, collection: AsyncCollection[Raw]) -> None:
        self._executions = collection

    async def of(self, workflow_keys: Collection[str]) -> Mapping[str, Crowd]:
        """Return the crowd of each workflow that has one."""
        keys = list(workflow_keys)
        slots = await self._numbers("activeKey", keys)
        places = await self._numbers("bufferKey", keys)
        return {
            key: Crowd(frozenset(slots.get(key, ())), frozenset(places.get(key, ())))
            for key in slots.keys() | places.keys()
        }

    async def oldest(self, workflow_key: str, limit: int) -> list[Execution]:
        """Return those that have waited longest in the buffer of a workflow, in order."""
        waiting = {"bufferKey": {"$gte": workflow_key, "$lt": key_limit(workflow_key)}}
        cursor = self._executions.find(waiting, _WITHOUT_HISTORY).sort(_OLDEST).limit(limit)
        return [to_execution(raw) for raw in await cursor.to_list()]

    async def _numbers(self, field: str, workflow_keys: list[str]) -> Mapping[str, set[int]]:
        found: dict[str, set[int]] = defaultdict(set)
        for start in range(0, len(workflow_keys), _RANGES):
            ranges = [
                {field: {"$gte": key, "$lt": key_limit(key)}}
                for key in workflow_keys[start : start + _RANGES]
            ]
            cursor = self._executions.find(
                {"$or": ranges}, {field: 1, "_id": 0}, batch_size=ONE_REPLY
            )
            for raw in await cursor.to_list():
                workflow, number = number_in(raw[field])
                found[workflow].add(number)
        return found
