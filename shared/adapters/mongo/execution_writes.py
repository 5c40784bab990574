"""The update commands for executions: what `transitions` decides, in MongoDB's words."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import bson
from bson.errors import BSONError
from pymongo import UpdateOne

from shared.adapters.mongo.execution_mapping import (
    MUTABLE_FIELDS,
    action_document,
    event_document,
    lease_document,
)
from shared.domain.execution import EventType, Execution, Lease, Status
from shared.domain.storable import MAX_DOCUMENT
from shared.ports.executions import Change


def claimable(ids: Sequence[str], now: datetime) -> dict[str, Any]:
    """Return the filter for those of `ids` that `transitions.is_claimable`."""
    return {
        "_id": {"$in": list(ids)},
        "$or": [
            {"status": Status.QUEUED.value},
            {"status": Status.PENDING.value, "nextAttemptAt": {"$lte": now}},
            {"status": Status.RUNNING.value, "lease.until": {"$lte": now}},
        ],
    }


def claim_update(lease: Lease, now: datetime) -> list[Mapping[str, Any]]:
    """Return the pipeline that does to each document what `transitions.claim` does."""
    recovered = {"$eq": ["$status", Status.RUNNING.value]}
    seq = {"$add": ["$seq", 1]}
    event = {
        "seq": seq,
        "type": {"$cond": [recovered, EventType.RECOVERED.value, EventType.CLAIMED.value]},
        "at": now,
        "runner": lease.owner,
    }
    return [
        {
            "$set": {
                "status": Status.RUNNING.value,
                "lease": lease_document(lease),
                "wakeAt": lease.until,
                "resends": 0,
                "recoveries": {"$add": ["$recoveries", {"$cond": [recovered, 1, 0]}]},
                "startedAt": {"$ifNull": ["$startedAt", now]},
                "seq": seq,
                "history": {"$concatArrays": ["$history", [event]]},
            }
        },
        {"$unset": ["nextAttemptAt"]},
    ]


def change_operation(change: Change) -> UpdateOne | None:
    """Return the conditional update for a change, or None if its new state cannot be stored."""
    before, after = change.before, change.after
    condition: dict[str, Any] = {"_id": before.id, "seq": before.seq}
    if before.lease:
        condition["lease.token"] = before.lease.token
    update = _update(before, after)
    return UpdateOne(condition, update) if _fits(update) else None


def _update(before: Execution, after: Execution) -> dict[str, Any]:
    sets: dict[str, Any] = {}
    unsets: dict[str, Any] = {}
    for name, (key, encode) in MUTABLE_FIELDS.items():
        value = getattr(after, name)
        if value == getattr(before, name):
            continue
        if value is None:
            unsets[key] = ""
        else:
            sets[key] = encode(value)
    for action_id, state in after.actions.items():
        if before.actions.get(action_id) != state:
            sets[f"actions.{action_id}"] = action_document(state)
    happened = [event_document(event) for event in after.history[len(before.history) :]]
    update: dict[str, Any] = {"$set": sets, "$push": {"history": {"$each": happened}}}
    if unsets:
        update["$unset"] = unsets
    return update


def _fits(update: Mapping[str, Any]) -> bool:
    """Encode one update alone, so that a value that cannot be stored fails by itself."""
    try:
        return len(bson.encode(update)) < MAX_DOCUMENT
    except (BSONError, OverflowError, UnicodeError, RecursionError):
        return False
