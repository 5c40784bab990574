"""The update commands for executions: what `transitions` decides, in MongoDB's words."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import bson
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pymongo import UpdateMany, UpdateOne

from shared.adapters.mongo.execution_mapping import (
    MUTABLE_FIELDS,
    action_document,
    event_document,
    lease_document,
)
from shared.domain.execution import EventType, Lease, Status
from shared.domain.storable import MAX_DOCUMENT
from shared.ports.executions import Change

_LARGE: Final = 16_384
"""A patch of more bytes travels alone: one command must stay far below 16 MiB."""

_GROUP: Final = 250


def claimable(ids: Sequence[str], now: datetime) -> dict[str, Any]:
    """Return the filter for those of `ids` that `transitions.is_claimable`."""
    return {
        "_id": {"$in": list(ids)},
        "$or": [
            {"status": Status.QUEUED.value},
            {
                "status": {"$in": [Status.PENDING.value, Status.WAITING.value]},
                "nextAttemptAt": {"$lte": now},
            },
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
                "startedAt": {"$ifNull": ["$startedAt", {"$max": ["$scheduledFor", now]}]},
                "seq": seq,
                "history": {"$concatArrays": ["$history", [event]]},
            }
        },
        {"$unset": ["nextAttemptAt"]},
    ]


@dataclass(frozen=True, slots=True)
class Patch:
    """What a change does to one document, and the state in which alone it may do so."""

    id: str
    seq: int
    token: str | None
    sets: Mapping[str, Any]
    unsets: tuple[str, ...]
    actions: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]
    encoded: bytes

    @property
    def takes_workflow(self) -> bool:
        """Whether it may meet a unique index, and so must not share a command with others."""
        return "activeKey" in self.sets

    @property
    def kind(self) -> Hashable:
        """Patches of one kind differ only in their values, so one command can carry them."""
        return self.seq, self.token, self.unsets

    def condition(self, ids: str | Mapping[str, Any]) -> dict[str, Any]:
        """Return the fence: the filter for documents that may be changed."""
        fence = {"lease.token": self.token} if self.token is not None else {}
        return {"_id": ids, "seq": self.seq, **fence}


def patch_of(change: Change) -> Patch | None:
    """Return the patch for a change, or None if its new state cannot be stored."""
    before, after = change.before, change.after
    olds, values = vars(before), vars(after)
    sets: dict[str, Any] = {}
    unsets: list[str] = []
    for name, (key, encode) in MUTABLE_FIELDS.items():
        value, old = values[name], olds[name]
        if value is old or value == old:
            continue
        if value is None:
            unsets.append(key)
        else:
            sets[key] = encode(value)
    actions = {
        action_id: action_document(state)
        for action_id, state in after.actions.items()
        if before.actions.get(action_id) is not state
    }
    unsets += [f"actions.{key}" for key in before.actions if key not in after.actions]
    history = [event_document(event) for event in after.history[len(before.history) :]]
    encoded = _encoded({"sets": sets, "actions": actions, "history": history})
    if encoded is None:
        return None
    token = before.lease.token if before.lease else None
    return Patch(before.id, before.seq, token, sets, tuple(unsets), actions, history, encoded)


def operations(patches: Iterable[Patch]) -> list[UpdateOne | UpdateMany]:
    """Return the commands for patches, as few as possible.

    One command for many documents costs MongoDB half of what one for each does.
    """
    groups: dict[Hashable, list[Patch]] = defaultdict(list)
    found: list[UpdateOne | UpdateMany] = []
    for patch in patches:
        if len(patch.encoded) > _LARGE or patch.takes_workflow:
            found.append(_update_one(patch))
        else:
            groups[patch.kind].append(patch)
    for group in groups.values():
        for start in range(0, len(group), _GROUP):
            part = group[start : start + _GROUP]
            found.append(_update_one(part[0]) if len(part) == 1 else _update_many(part))
    return found


def _update_one(patch: Patch) -> UpdateOne:
    actions = {f"actions.{action_id}": state for action_id, state in patch.actions.items()}
    update: dict[str, Any] = {
        "$set": {**patch.sets, **actions},
        "$push": {"history": {"$each": patch.history}},
    }
    if patch.unsets:
        update["$unset"] = dict.fromkeys(patch.unsets, "")
    return UpdateOne(patch.condition(patch.id), update)


def _update_many(patches: Sequence[Patch]) -> UpdateMany:
    """Let each document find its own patch, by the place of its id in the list of ids."""
    first, ids = patches[0], [patch.id for patch in patches]
    values = [RawBSONDocument(patch.encoded) for patch in patches]
    mine = {"$arrayElemAt": [{"$literal": values}, {"$indexOfArray": [{"$literal": ids}, "$_id"]}]}
    patched = {
        "$mergeObjects": [
            "$$ROOT",
            "$$mine.sets",
            {
                "actions": {"$mergeObjects": ["$actions", "$$mine.actions"]},
                "history": {"$concatArrays": ["$history", "$$mine.history"]},
            },
        ]
    }
    pipeline: list[dict[str, Any]] = [
        {"$replaceWith": {"$let": {"vars": {"mine": mine}, "in": patched}}}
    ]
    if first.unsets:
        pipeline.append({"$unset": list(first.unsets)})
    return UpdateMany(first.condition({"$in": ids}), pipeline)


def _encoded(patch: Mapping[str, Any]) -> bytes | None:
    """Encode one patch alone, so that a value that cannot be stored fails by itself."""
    try:
        encoded = bson.encode(patch)
    except (BSONError, OverflowError, UnicodeError, RecursionError):
        return None
    return encoded if len(encoded) < MAX_DOCUMENT else None
