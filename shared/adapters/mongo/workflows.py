"""Workflows and their versions in MongoDB, through Beanie; batches go to the collection."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from pymongo.errors import DuplicateKeyError

from shared.adapters.mongo.connection import MongoConnection
from shared.adapters.mongo.documents import (
    BY_ID,
    DAWN,
    ONE_REPLY,
    VersionDocument,
    WorkflowDocument,
)
from shared.adapters.mongo.errors import translated
from shared.adapters.mongo.moves import updates
from shared.adapters.mongo.pause_mapping import pause_document
from shared.adapters.mongo.several_triggers import (
    still,
)
from shared.adapters.mongo.workflow_mapping import (
    changes_in,
    due_in,
    next_run_at_in,
    packed_trigger,
    restored,
    to_workflow,
    version_text,
    workflow_document,
)
from shared.domain.catalogue import ActionCatalogue
from shared.domain.definition import WorkflowDefinition
from shared.domain.due import DueWorkflow
from shared.domain.identity import version_key, workflow_key
from shared.domain.pause import Pause
from shared.domain.rescheduling import relied_on, reschedules
from shared.domain.workflow import Workflow
from shared.ports.workflows import Advance, Upcoming, VersionRef, WorkflowQuery

_UPCOMING: Final = {"tenant": 1, "workflowId": 1, "trigger.nextRunAt": 1}
_SCHEDULE: Final = {
    "tenant": 1,
    "workflowId": 1,
    "version": 1,
    "trigger": 1,
    "retry.retries": 1,
    "timeout": 1,
    "pauseOnFailure": 1,
    "resumedAt": 1,
    "overlap": 1,
    "narrowed": 1,
    "actions": {"$slice": 1},
}


class MongoWorkflows:
    """The WorkflowRepository of production."""

    def __init__(self, connection: MongoConnection, catalogue: ActionCatalogue) -> None:
        self._workflows = connection.workflows
        self._versions = connection.versions
        self._catalogue = catalogue

    async def add_version(self, tenant: str, definition: WorkflowDefinition, version: int) -> bool:
        """See WorkflowRepository.add_version."""
        key = version_key(tenant, definition.workflow_id, version)
        document = VersionDocument(id=key, definition=version_text(definition))
        with translated():
            try:
                await document.insert()
            except DuplicateKeyError:
                kept = await VersionDocument.get(key)
                return kept is not None and kept.definition == document.definition
        return True

    async def versions(
        self, refs: Collection[VersionRef]
    ) -> Mapping[VersionRef, WorkflowDefinition]:
        """See WorkflowRepository.versions."""
        keys = {version_key(ref.tenant, ref.workflow_id, ref.version): ref for ref in refs}
        with translated():
            cursor = self._versions.find({"_id": {"$in": list(keys)}}, batch_size=ONE_REPLY)
            found = await cursor.to_list()
        return {keys[raw["_id"]]: restored(self._catalogue, raw["definition"]) for raw in found}

    async def add(self, workflow: Workflow) -> bool:
        """See WorkflowRepository.add."""
        with translated():
            try:
                await workflow_document(workflow).insert()
            except DuplicateKeyError:
                return False
        return True

    async def get(self, tenant: str, workflow_id: str) -> Workflow | None:
        """See WorkflowRepository.get."""
        with translated():
            document = await WorkflowDocument.get(workflow_key(tenant, workflow_id))
        return to_workflow(self._catalogue, document) if document else None

    async def save(self, before: Workflow, after: Workflow) -> bool:
        """See WorkflowRepository.save."""
        condition: dict[str, Any] = {
            "_id": before.key,
            "version": before.version,
            "enabled": before.enabled,
            "deletedAt": before.deleted_at,
        }
        if not before.enabled:
            # Of one that is enabled, a release that knows of no pauses may have left one.
            condition["paused.since"] = before.paused.since if before.paused else None
        moved = reschedules(before, after)
        if moved:
            condition |= still(relied_on(before, after), packed_trigger(before))
        sets, unsets = changes_in(after, moved=moved)
        with translated():
            result = await self._workflows.update_one(condition, {"$set": sets, "$unset": unsets})
        return result.matched_count == 1

    async def find(self, query: WorkflowQuery) -> list[Workflow]:
        """See WorkflowRepository.find."""
        wanted: dict[str, Any] = {"tenant": query.tenant, "deletedAt": None}
        if query.trigger_type is not None:
            kinds = ("trigger.type", "trigger.triggers.type")
            wanted["$or"] = [{kind: query.trigger_type} for kind in kinds]
        if query.after is not None:
            wanted["workflowId"] = {"$gt": query.after}
        with translated():
            found = (
                await WorkflowDocument.find(wanted).sort("workflowId").limit(query.limit).to_list()
            )
        return [to_workflow(self._catalogue, document) for document in found]

    async def due(
        self, horizon: datetime, shards: Collection[int] | None, limit: int
    ) -> list[Upcoming]:
        """See WorkflowRepository.due."""
        wanted: dict[str, Any] = {
            "enabled": True,
            "trigger.nextRunAt": {"$gt": DAWN, "$lte": horizon},
        }
        if shards is not None:
            wanted["shard"] = {"$in": list(shards)}
        with translated():
            cursor = self._workflows.find(wanted, _UPCOMING, hint="due", batch_size=ONE_REPLY)
            found = await cursor.sort("trigger.nextRunAt").limit(limit).to_list()
        return [Upcoming(raw["tenant"], raw["workflowId"], next_run_at_in(raw)) for raw in found]

    async def read_due(self, keys: Collection[str]) -> list[DueWorkflow]:
        """See WorkflowRepository.read_due."""
        wanted = {
            "_id": {"$in": list(keys)},
            "enabled": True,
            "trigger.nextRunAt": {"$gt": DAWN},
        }
        with translated():
            cursor = self._workflows.find(wanted, _SCHEDULE, hint=BY_ID, batch_size=ONE_REPLY)
            found = await cursor.to_list()
        return [due for raw in found for due in due_in(raw)]

    async def advance(self, moves: Sequence[Advance]) -> None:
        """See WorkflowRepository.advance."""
        operations = updates(moves)
        if operations:
            with translated():
                await self._workflows.bulk_write(operations, ordered=False)

    async def pause(self, due: DueWorkflow, why: Pause) -> bool:
        """See WorkflowRepository.pause."""
        wanted = {
            "_id": due.key,
            "version": due.version,
            "enabled": True,
            "resumedAt": due.resumed_at,
        }
        sets = {"enabled": False, "paused": pause_document(why), "updatedAt": why.since}
        with translated():
            result = await self._workflows.update_one(wanted, {"$set": sets})
        return result.matched_count == 1
