"""The ledger in MongoDB: what is scheduled is named after its instant, so `_id` orders it."""

from datetime import datetime
from typing import Any, Final

from pymongo import ASCENDING, DESCENDING
from pymongo.asynchronous.collection import AsyncCollection

from shared.adapters.mongo.connection import Raw
from shared.adapters.mongo.documents import BY_ID, DAWN
from shared.adapters.mongo.errors import translated
from shared.adapters.mongo.execution_mapping import to_execution
from shared.domain.execution import Execution, Status
from shared.domain.identity import MANUAL, occurrences_key, trigger_key
from shared.domain.instants import format_instant
from shared.domain.ledger import OccurrenceOutcome, first_of, last_of
from shared.ports.ledger import OccurrenceQuery

_SUMMARY: Final = {"history": 0, "actions": 0, "input": 0}
_AFTER: Final = ";"
"""The character after the colon: `key:…` are the strings from `key:` to `key;`."""

_OF_SCHEDULE: Final = ":0$"
"""How the id of an occurrence ends that the schedule itself gave rise to: as its run 0."""

_UNFIRED: Final = {
    OccurrenceOutcome.SKIPPED: Status.SKIPPED.value,
    OccurrenceOutcome.BUFFERED: Status.BUFFERED.value,
}
_ENDED: Final = [Status.COMPLETED.value, Status.FAILED.value, Status.CANCELLED.value]


class MongoLedger:
    """The OccurrenceLedger of production. It needs no index beside those of the executions."""

    def __init__(self, collection: AsyncCollection[Raw]) -> None:
        self._executions = collection

    async def find(self, query: OccurrenceQuery) -> list[Execution]:
        """See OccurrenceLedger.find."""
        found: list[Execution] = []
        with translated():
            for key in await self._trigger_keys(query.tenant, query.workflow_id):
                found += await self._of_trigger(key, query)
        found.sort(key=lambda record: (first_of(record), record.id), reverse=True)
        return found[: query.limit]

    async def ended(
        self, tenant: str, workflow_id: str, since: datetime | None, limit: int
    ) -> list[Execution]:
        """See OccurrenceLedger.ended."""
        wanted: dict[str, Any] = {
            "tenant": tenant,
            "workflowId": workflow_id,
            "_id": {"$regex": _OF_SCHEDULE},
            "scheduledFor": {"$gt": DAWN},
            "status": {"$in": _ENDED},
        }
        if since is not None:
            wanted["createdAt"] = {"$gte": since}
        newest = [("createdAt", DESCENDING), ("_id", DESCENDING)]
        with translated():
            cursor = self._executions.find(wanted, _SUMMARY, hint="by_workflow")
            return [to_execution(raw) for raw in await cursor.sort(newest).limit(limit).to_list()]

    async def latest(self, tenant: str, workflow_id: str, trigger_id: str) -> Execution | None:
        """See OccurrenceLedger.latest."""
        key = trigger_key(tenant, workflow_id, trigger_id)
        with translated():
            raw = await self._latest(key, key[:-1] + _AFTER)
        return to_execution(raw) if raw else None

    async def _trigger_keys(self, tenant: str, workflow_id: str) -> list[str]:
        """Return what the ids of each trigger begin with: one look into the index for each."""
        key = occurrences_key(tenant, workflow_id)
        keys: list[str] = []
        begin = key
        while True:
            raw = await self._first({"_id": {"$gte": begin, "$lt": key[:-1] + _AFTER}}, ASCENDING)
            if raw is None:
                return [each for each in keys if each != f"{key}{MANUAL}:"]
            own = f"{key}{raw['_id'].removeprefix(key).partition(':')[0]}:"
            keys.append(own)
            begin = own[:-1] + _AFTER

    async def _of_trigger(self, key: str, query: OccurrenceQuery) -> list[Execution]:
        begin, end = key + format_instant(query.since), key + format_instant(query.until)
        if query.after is not None:
            at, last_id = query.after
            same = key + format_instant(at)
            end = min(end, max(f"{same}:", min(last_id, same + _AFTER)))
        wanted = {"_id": {"$gte": begin, "$lt": end}, **_with(query)}
        cursor = self._executions.find(wanted, _SUMMARY, hint=BY_ID)
        found = await cursor.sort("_id", DESCENDING).limit(query.limit).to_list()
        if len(found) < query.limit and OccurrenceOutcome.SKIPPED in query.outcomes:
            # Behind the last one on record there is at most one range that is still going on.
            before = await self._latest(key, min(begin, end))
            found += [before] if before else []
        records = [to_execution(raw) for raw in found]
        return [record for record in records if last_of(record) >= query.since]

    async def _latest(self, begin: str, end: str) -> Raw | None:
        """Return what the schedule itself has on record last, from one id on and before another."""
        own = {"$gte": begin, "$lt": end, "$regex": _OF_SCHEDULE}
        return await self._first({"_id": own}, DESCENDING)

    async def _first(self, wanted: dict[str, Any], direction: int) -> Raw | None:
        cursor = self._executions.find(wanted, _SUMMARY, hint=BY_ID)
        found = await cursor.sort("_id", direction).limit(1).to_list()
        return found[0] if found else None


def _with(query: OccurrenceQuery) -> dict[str, Any]:
    """Return the condition for the outcomes that are asked for."""
    others = frozenset(OccurrenceOutcome) - frozenset(query.outcomes)
    if not others:
        return {}
    if OccurrenceOutcome.FIRED in query.outcomes:
        return {"status": {"$nin": [_UNFIRED[other] for other in others]}}
    return {"status": {"$in": [_UNFIRED[outcome] for outcome in query.outcomes]}}
