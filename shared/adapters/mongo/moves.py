"""The updates that move next instants on, as few as there can be."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from pymongo import UpdateMany, UpdateOne

from shared.adapters.mongo.documents import BY_ID
from shared.adapters.mongo.several_triggers import TRIGGERS
from shared.domain.identity import workflow_key
from shared.ports.workflows import Advance


def updates(moves: Iterable[Advance]) -> list[UpdateOne | UpdateMany]:
    """Return what applies each move whose condition holds; their order means nothing."""
    given = list(moves)
    alone = (move for move in given if move.trigger_id is None)
    return [*_alike(alone), *(_one_of_several(move) for move in given if move.trigger_id)]


def _alike(moves: Iterable[Advance]) -> Iterator[UpdateMany]:
    """Yield one update for all the workflows whose only trigger makes the same move."""
    alike: dict[tuple[int, datetime, datetime | None, int], list[str]] = defaultdict(list)
    for move in moves:
        key = workflow_key(move.tenant, move.workflow_id)
        alike[move.version, move.due, move.next_run_at, move.fires].append(key)
    for (version, due, next_run_at, fires), keys in alike.items():
        yield UpdateMany(
            {"_id": {"$in": keys}, "version": version, "trigger.nextRunAt": due},
            _moved(next_run_at, fires),
            hint=BY_ID,
        )


def _moved(next_run_at: datetime | None, fires: int) -> dict[str, Any]:
    change: dict[str, Any] = (
        {"$set": {"trigger.nextRunAt": next_run_at}}
        if next_run_at
        else {"$unset": {"trigger.nextRunAt": ""}}
    )
    return {**change, "$inc": {"trigger.runs": fires}} if fires else change


def _one_of_several(move: Advance) -> UpdateOne:
    """Return the update that moves one trigger and, with it, the earliest instant of all."""
    own: dict[str, Any] = {"nextRunAt": move.next_run_at}
    if move.fires:
        own["runs"] = {"$add": [{"$ifNull": ["$$each.runs", 0]}, move.fires]}
    moved = {"$mergeObjects": ["$$each", own]}
    chosen = {"$cond": [{"$eq": ["$$each.id", move.trigger_id]}, moved, "$$each"]}
    earliest = {"$min": f"${TRIGGERS}.nextRunAt"}
    return UpdateOne(
        {
            "_id": workflow_key(move.tenant, move.workflow_id),
            "version": move.version,
            TRIGGERS: {"$elemMatch": {"id": move.trigger_id, "nextRunAt": move.due}},
        },
        [
            {"$set": {TRIGGERS: {"$map": {"input": f"${TRIGGERS}", "as": "each", "in": chosen}}}},
            {"$set": {"trigger.nextRunAt": {"$ifNull": [earliest, "$$REMOVE"]}}},
        ],
        hint=BY_ID,
    )
