"""Workflows and their documents: each made from the other."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from shared.adapters.mongo.connection import Raw
from shared.adapters.mongo.documents import (
    TriggerDocument,
    WorkflowDocument,
)
from shared.adapters.mongo.execution_mapping import aware, plain
from shared.adapters.mongo.pause_mapping import pause_document
from shared.adapters.mongo.several_triggers import (
    SEVERAL,
    packed,
    placed,
    unpacked,
)
from shared.domain.catalogue import ActionCatalogue, definition_text, normalised
from shared.domain.definition import WorkflowDefinition
from shared.domain.due import DueWorkflow
from shared.domain.durations import MILLISECOND, parse_duration
from shared.domain.held import Hold
from shared.domain.overlap import Overlap, OverlapPolicy, policy_of
from shared.domain.pause import Pause
from shared.domain.trigger_ids import trigger_id
from shared.domain.triggers import Trigger
from shared.domain.workflow import Workflow

log = structlog.get_logger(__name__)
_TRIGGER: Final[TypeAdapter[Trigger]] = TypeAdapter(Trigger)
_FIELDS: Final = frozenset(
    {"workflowId", "trigger", "triggers", "actions", "retry", "timeout", "pauseOnFailure"}
)
_OVERLAP: Final = frozenset({"maxBuffered", "maxConcurrent", "overlap"})
_OWN: Final = {"next_run_at": "nextRunAt", "runs": "runs", "held": "held"}
"""What is stored with a trigger beyond its definition."""


def restored(catalogue: ActionCatalogue, text: str) -> WorkflowDefinition:
    """Return the definition that a version's text holds."""
    definition = catalogue.restore_text(text)
    if definition.trigger is None or definition.trigger.type != SEVERAL:
        return definition
    return catalogue.restore(unpacked(from_json(text)))


def to_workflow(catalogue: ActionCatalogue, document: WorkflowDocument) -> Workflow:
    """Return the workflow that a document holds."""
    definition = {
        "workflowId": document.workflow_id,
        "trigger": _without_instants(document.trigger),
        "actions": document.actions,
        "retry": document.retry,
        **({"timeout": document.timeout} if document.timeout else {}),
        **_pausing(document),
        **(document.overlap or {}),
        **from_json(document.options),
    }
    restored = catalogue.restore(unpacked(_mapping(definition)))
    return Workflow(
        tenant=document.tenant,
        definition=restored,
        version=document.version,
        enabled=document.enabled,
        next_runs=_next_runs(restored, document.trigger),
        runs=_runs(restored, document.trigger),
        holds=_holds(restored, document.trigger),
        created_at=document.created_at,
        updated_at=document.updated_at,
        deleted_at=document.deleted_at,
        paused=_paused(document),
        resumed_at=document.resumed_at,
        narrowed=bool(document.narrowed),
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
            "trigger": _placed(workflow),
            "actions": definition["actions"],
            "retry": definition["retry"],
            "timeout": definition.get("timeout"),
            "pauseOnFailure": definition.get("pauseOnFailure"),
            "overlap": _overlap(definition),
            "options": _options(definition),
            "shard": workflow.shard,
            "createdAt": workflow.created_at,
            "updatedAt": workflow.updated_at,
            "deletedAt": workflow.deleted_at,
            "paused": pause_document(workflow.paused),
            "resumedAt": workflow.resumed_at,
            "narrowed": workflow.narrowed or None,
        }
    )
    return document


def version_text(definition: WorkflowDefinition) -> str:
    """Return the text that a version of a definition is kept as."""
    if definition.triggers is None:
        return definition_text(definition)
    return to_json(packed(normalised(definition))).decode()


def packed_trigger(workflow: Workflow) -> dict[str, Any]:
    """Return the packed trigger of a workflow."""
    return _mapping(packed(normalised(workflow.definition))["trigger"])


def _placed(workflow: Workflow) -> dict[str, Any]:
    """Return the packed trigger of a workflow with where its triggers are."""
    names = workflow.definition.all_triggers
    return placed(packed_trigger(workflow), {name: _own(workflow, name) for name in names})


def _own(workflow: Workflow, name: str) -> dict[str, Any]:
    hold = workflow.holds.get(name)
    own = {
        "nextRunAt": workflow.next_runs.get(name),
        "runs": workflow.runs.get(name),
        "held": {"until": hold.until, "delay": hold.delay // MILLISECOND} if hold else None,
    }
    return {key: value for key, value in own.items() if value}


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


def _holds(definition: WorkflowDefinition, trigger: TriggerDocument) -> dict[str, Hold]:
    parts = _parts(definition, trigger)
    return {
        name: Hold(part.held.until, part.held.delay * MILLISECOND)
        for name, part in parts
        if part.held
    }


def _parts(
    definition: WorkflowDefinition, trigger: TriggerDocument
) -> Iterator[tuple[str, TriggerDocument]]:
    parts = [trigger] if trigger.triggers is None else trigger.triggers
    return zip(definition.all_triggers, parts, strict=True)


def changes_in(after: Workflow, *, moved: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a change of a workflow sets, and what it unsets; its triggers only if `moved`."""
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
        sets["trigger"] = _placed(after)
    for key, value in (
        ("deletedAt", after.deleted_at),
        ("paused", pause_document(after.paused)),
        ("resumedAt", after.resumed_at),
        ("narrowed", after.narrowed or None),
        ("timeout", definition.get("timeout")),
        ("pauseOnFailure", definition.get("pauseOnFailure")),
        ("overlap", _overlap(definition)),
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
    rest = {k: v for k, v in definition.items() if k not in _FIELDS and k not in _OVERLAP}
    return to_json(rest).decode()


def _overlap(definition: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return how overlaps are dealt with, which is read whenever a workflow fires."""
    return {k: v for k, v in definition.items() if k in _OVERLAP} or None


def _policy(raw: Raw) -> OverlapPolicy | None:
    """Return how overlaps are dealt with; None if a later release wrote what is not known here."""
    given = raw.get("overlap", {})
    try:
        overlap = Overlap(given.get("overlap", Overlap.SKIP))
    except ValueError as error:
        log.warning("workflow.overlap_unreadable", workflow=raw["_id"], why=str(error)[:500])
        return None
    policy = policy_of(overlap, given.get("maxConcurrent"), given.get("maxBuffered"))
    return replace(policy, narrowed=raw.get("narrowed", False))


def due_in(raw: Raw) -> Iterator[DueWorkflow]:
    """Yield what firing takes of each trigger that a document has an instant of."""
    own, timeout = raw["actions"][0].get("retry"), raw.get("timeout")
    several = raw["trigger"]["type"] == SEVERAL
    policy = _policy(raw)
    if policy is None:
        return
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
                policy=policy,
                hold=_hold(part.get("held")),
            )


def _hold(raw: Raw | None) -> Hold | None:
    return Hold(raw["until"].replace(tzinfo=UTC), raw["delay"] * MILLISECOND) if raw else None


def _readable(part: Mapping[str, Any], workflow: str) -> Trigger | None:
    given = {name: value for name, value in part.items() if name not in _OWN.values()}
    try:
        return _TRIGGER.validate_python(given)
    except ValidationError as error:
        log.warning("workflow.trigger_unreadable", workflow=workflow, why=str(error)[:500])
        return None


def next_run_at_in(raw: Raw) -> datetime:
    """Return the earliest instant that a document has."""
    at: datetime = raw["trigger"]["nextRunAt"]
    return at.replace(tzinfo=UTC)


def _mapping(value: Any) -> dict[str, Any]:
    result = plain(value)
    if not isinstance(result, dict):
        raise TypeError(f"expected a document, got {type(value).__name__}")
    return result
