"""Workflows and their versions in MongoDB, through Beanie; batches go to the collection."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json
from pymongo.errors import DuplicateKeyError

from shared.adapters.mongo.connection import MongoConnection, Raw
from shared.adapters.mongo.documents import (
    BY_ID,
    DAWN,
    ONE_REPLY,
    TriggerDocument,
    VersionDocument,
    WorkflowDocument,
)
from shared.adapters.mongo.errors import translated
from shared.adapters.mongo.execution_mapping import aware, plain
from shared.adapters.mongo.moves import updates
from shared.adapters.mongo.pause_mapping import pause_document
from shared.adapters.mongo.several_triggers import (
    SEVERAL,
    packed,
    placed,
    still,
    unpacked,
)
from shared.domain.catalogue import ActionCatalogue, definition_text, normalised
from shared.domain.definition import WorkflowDefinition
from shared.domain.durations import parse_duration
from shared.domain.identity import version_key, workflow_key
from shared.domain.pause import Pause
from shared.domain.rescheduling import relied_on, reschedules
from shared.domain.trigger_ids import trigger_id
from shared.domain.triggers import Trigger
from shared.domain.workflow import DueWorkflow, Workflow
from shared.ports.workflows import Advance, Upcoming, VersionRef, WorkflowQuery

log = structlog.get_logger(__name__)
_TRIGGER: Final[TypeAdapter[Trigger]] = TypeAdapter(Trigger)
_FIELDS: Final = frozenset(
    {"workflowId", "trigger", "triggers", "actions", "retry", "timeout", "pauseOnFailure"}
)
_UPCOMING: Final = {"tenant": 1, "workflowId": 1, "trigger.nextRunAt": 1}
_OWN: Final = {"next_run_at": "nextRunAt", "runs": "runs"}
"""What is stored with a trigger beyond its definition."""

_SCHEDULE: Final = {
    "tenant": 1,
    "workflowId": 1,
    "version": 1,
    "trigger": 1,
    "retry.retries": 1,
    "timeout": 1,
    "pauseOnFailure": 1,
    "resumedAt": 1,
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
        document = VersionDocument(id=key, definition=_text(definition))
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
        return {keys[raw["_id"]]: self._restored(raw["definition"]) for raw in found}

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
        return self._workflow(document) if document else None

    async def save(self, before: Workflow, after: Workflow) -> bool:
        """See WorkflowRepository.save."""
        condition: dict[str, Any] = {
            "_id": before.key,
            "version": before.version,
            "enabled": before.enabled,
            "deletedAt": before.deleted_at,
            "paused.since": before.paused.since if before.paused else None,
        }
        moved = reschedules(before, after)
        if moved:
            condition |= still(relied_on(before, after), _trigger(before))
        sets, unsets = _changes(after, moved=moved)
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
        return [self._workflow(document) for document in found]

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
        return [Upcoming(raw["tenant"], raw["workflowId"], _next_run_at(raw)) for raw in found]

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
        return [due for raw in found for due in _due(raw)]

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

    def _restored(self, text: str) -> WorkflowDefinition:
        definition = self._catalogue.restore_text(text)
        if definition.trigger is None or definition.trigger.type != SEVERAL:
            return definition
        return self._catalogue.restore(unpacked(from_json(text)))

    def _workflow(self, document: WorkflowDocument) -> Workflow:
        definition = {
            "workflowId": document.workflow_id,
            "trigger": _without_instants(document.trigger),
            "actions": document.actions,
            "retry": document.retry,
            **({"timeout": document.timeout} if document.timeout else {}),
            **_pausing(document),
            **from_json(document.options),
        }
        restored = self._catalogue.restore(unpacked(_mapping(definition)))
        return Workflow(
            tenant=document.tenant,
            definition=restored,
            version=document.version,
            enabled=document.enabled,
            next_runs=_next_runs(restored, document.trigger),
            runs=_runs(restored, document.trigger),
            created_at=document.created_at,
            updated_at=document.updated_at,
            deleted_at=document.deleted_at,
            paused=_paused(document),
            resumed_at=document.resumed_at,
        )


def workflow_document(workflow: Workflow) -> WorkflowDocument:
    """Return the document of a workflow."""
    definition = normalised(workflow.definition)
    document: WorkflowDocument = WorkflowDocument.model_validate(
        {
            "_id": workflow.key,
            "tenant": workflow.tenant,
            "workflowId": workflow.id,
            "version": workflow.version,
            "enabled": workflow.enabled,
            "trigger": placed(_trigger(workflow), workflow.next_runs, workflow.runs),
            "actions": definition["actions"],
            "retry": definition["retry"],
            "timeout": definition.get("timeout"),
            "pauseOnFailure": definition.get("pauseOnFailure"),
            "options": _options(definition),
            "shard": workflow.shard,
            "createdAt": workflow.created_at,
            "updatedAt": workflow.updated_at,
            "deletedAt": workflow.deleted_at,
            "paused": pause_document(workflow.paused),
            "resumedAt": workflow.resumed_at,
        }
    )
    return document


def _text(definition: WorkflowDefinition) -> str:
    if definition.triggers is None:
        return definition_text(definition)
    return to_json(packed(normalised(definition))).decode()


def _trigger(workflow: Workflow) -> dict[str, Any]:
    """Return the packed trigger of a workflow."""
    return _mapping(packed(normalised(workflow.definition))["trigger"])


def _without_instants(trigger: TriggerDocument) -> dict[str, Any]:
    own = trigger.model_dump(exclude={*_OWN, "triggers"})
    if trigger.triggers is None:
        return own
    return {**own, "triggers": [_without_instants(each) for each in trigger.triggers]}


def _next_runs(definition: WorkflowDefinition, trigger: TriggerDocument) -> dict[str, datetime]:
    parts = _parts(definition, trigger)
    return {name: part.next_run_at for name, part in parts if part.next_run_at}


def _runs(definition: WorkflowDefinition, trigger: TriggerDocument) -> dict[str, int]:
    return {name: part.runs for name, part in _parts(definition, trigger) if part.runs}


def _parts(
    definition: WorkflowDefinition, trigger: TriggerDocument
) -> Iterator[tuple[str, TriggerDocument]]:
    parts = [trigger] if trigger.triggers is None else trigger.triggers
    return zip(definition.all_triggers, parts, strict=True)


def _changes(after: Workflow, *, moved: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    definition = normalised(after.definition)
    sets: dict[str, Any] = {
        "version": after.version,
        "enabled": after.enabled,
        "actions": definition["actions"],
        "retry": definition["retry"],
        "options": _options(definition),
        "createdAt": after.created_at,
        "updatedAt": after.updated_at,
    }
    unsets: dict[str, Any] = {}
    if moved:
        sets["trigger"] = placed(_trigger(after), after.next_runs, after.runs)
    for key, value in (
        ("deletedAt", after.deleted_at),
        ("paused", pause_document(after.paused)),
        ("resumedAt", after.resumed_at),
        ("timeout", definition.get("timeout")),
        ("pauseOnFailure", definition.get("pauseOnFailure")),
    ):
        if value is None:
            unsets[key] = ""
        else:
            sets[key] = value
    return sets, unsets


def _pausing(document: WorkflowDocument) -> dict[str, int]:
    limit = document.pause_on_failure
    return {"pauseOnFailure": limit} if limit else {}


def _paused(document: WorkflowDocument) -> Pause | None:
    """Return the pause, unless a release that knows of none has enabled the workflow since."""
    if document.paused is None or document.enabled:
        return None
    return Pause(document.paused.since, document.paused.reason)


def _options(definition: Mapping[str, Any]) -> str:
    """Return the other members of a definition as text: a JSON Schema has names like `$ref`."""
    return to_json({k: v for k, v in definition.items() if k not in _FIELDS}).decode()


def _due(raw: Raw) -> Iterator[DueWorkflow]:
    own, timeout = raw["actions"][0].get("retry"), raw.get("timeout")
    several = raw["trigger"]["type"] == SEVERAL
    for part in raw["trigger"]["triggers"] if several else [raw["trigger"]]:
        trigger = _readable(part, raw["_id"]) if part.get("nextRunAt") else None
        if trigger is not None:
            yield DueWorkflow(
                tenant=raw["tenant"],
                workflow_id=raw["workflowId"],
                version=raw["version"],
                trigger_id=trigger_id(trigger),
                trigger=trigger,
                retries=(own or raw["retry"])["retries"],
                timeout=parse_duration(timeout) if timeout else None,
                next_run_at=part["nextRunAt"].replace(tzinfo=UTC),
                is_one_of_several=several,
                runs=part.get("runs", 0),
                pause_on_failure=raw.get("pauseOnFailure"),
                resumed_at=aware(raw.get("resumedAt")),
            )


def _readable(part: Mapping[str, Any], workflow: str) -> Trigger | None:
    given = {name: value for name, value in part.items() if name not in _OWN.values()}
    try:
        return _TRIGGER.validate_python(given)
    except ValidationError as error:
        log.warning("workflow.trigger_unreadable", workflow=workflow, why=str(error)[:500])
        return None


def _next_run_at(raw: Raw) -> datetime:
    at: datetime = raw["trigger"]["nextRunAt"]
    return at.replace(tzinfo=UTC)


def _mapping(value: Any) -> dict[str, Any]:
    result = plain(value)
    if not isinstance(result, dict):
        raise TypeError(f"expected a document, got {type(value).__name__}")
    return result
