"""The plans by which MongoDB carried out what a repository asked: by its own profiler."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.adapters.mongo.connection import MongoConnection
from shared.adapters.mongo.executions import MongoExecutions
from shared.adapters.mongo.operations import MongoDeadLetters, MongoMembers
from shared.adapters.mongo.workflows import MongoWorkflows


@dataclass(frozen=True)
class Plan:
    """How one operation was carried out."""

    collection: str
    operation: str
    stages: frozenset[str]
    partial: bool
    keys: int
    documents: int
    returned: int


@dataclass(frozen=True)
class Storage:
    """The repositories on one database that holds more than any query needs."""

    mongo: MongoConnection
    executions: MongoExecutions
    workflows: MongoWorkflows
    letters: MongoDeadLetters
    members: MongoMembers

    async def plans(self, run: Callable[["Storage"], Awaitable[object]]) -> list[Plan]:
        """Return the plan of every operation that `run` caused."""
        database = self.mongo._database
        await database.command("profile", 2)
        await run(self)
        await database.command("profile", 0)
        own = {"ns": {"$not": {"$regex": r"system\.profile|\$cmd"}}}
        found = await database["system.profile"].find(own).to_list()
        await database.drop_collection("system.profile")
        return [await self._plan(entry) for entry in found if entry["op"] != "insert"]

    async def _plan(self, entry: Mapping[str, Any]) -> Plan:
        stats = entry.get("execStats") or await self._explained(entry["command"])
        stages = list(_stages(stats))
        return Plan(
            collection=entry["ns"].partition(".")[2],
            operation=entry["op"],
            stages=frozenset(stage["stage"] for stage in stages),
            partial=any(stage.get("isPartial") for stage in stages),
            keys=entry.get("keysExamined", 0),
            documents=entry.get("docsExamined", 0),
            returned=entry.get("nreturned", 0),
        )

    async def _explained(self, command: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the plan of a command of which the profiler kept none: an aggregation."""
        asked = {name: command[name] for name in ("aggregate", "pipeline", "cursor", "hint")}
        plan: Mapping[str, Any] = await self.mongo._database.command("explain", asked)
        return plan

    async def entries(self, collection: str) -> dict[str, int]:
        """Return how many documents each index holds."""
        counts: dict[str, int] = (await self.mongo._database.command("validate", collection))[
            "keysPerIndex"
        ]
        return counts


def _stages(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "stage" in node:
        yield node
    for value in node.values():
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict):
                yield from _stages(inner)
