"""Executions as MongoDB keeps them: camelCase fields, absent instead of null."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from bson import DBRef
from pydantic import JsonValue
from pydantic.alias_generators import to_camel

from shared.adapters.mongo.pause_mapping import pause_document, to_pause
from shared.domain.execution import (
    ActionState,
    ActionStatus,
    Ending,
    ErrorCategory,
    EventType,
    Execution,
    Failure,
    HistoryEvent,
    Lease,
    Origin,
    Skip,
    SkipReason,
    Status,
)

Raw = Mapping[str, Any]


def to_document(execution: Execution) -> dict[str, Any]:
    """Return the whole document of a new execution."""
    document: dict[str, Any] = {
        "_id": execution.id,
        "tenant": execution.tenant,
        "workflowId": execution.workflow_id,
        "version": execution.version,
        "triggerId": execution.trigger_id,
        "shard": execution.shard,
        "createdAt": execution.created_at,
        "scheduledFor": execution.scheduled_for,
        "input": execution.input,
        "requestFingerprint": execution.request_fingerprint,
        "origin": origin_document(execution.origin),
        "history": [event_document(event) for event in execution.history],
    }
    for name, (key, encode) in MUTABLE_FIELDS.items():
        document[key] = encode(getattr(execution, name))
    document["actions"] = {k: action_document(s) for k, s in execution.actions.items()}
    return {key: value for key, value in document.items() if value is not None}


def to_execution(raw: Raw) -> Execution:
    """Return the execution that a document (or a projection of it) holds."""
    actions = {key: _action(value) for key, value in raw.get("actions", {}).items()}
    told = {
        name: raw[key] if decode is None else decode(raw[key])
        for key, (name, decode) in _FIELDS.items()
        if key in raw
    }
    history = tuple(to_event(event, actions) for event in raw.get("history", ()))
    return _BLANK.evolve(actions=actions, history=history, **told)


def action_document(state: ActionState) -> dict[str, Any]:
    """Return the document of one action's state."""
    return _present(
        {
            "status": state.status.value,
            "attempts": state.attempts,
            "startedAt": state.started_at,
            "finishedAt": state.finished_at,
            "output": state.output,
            "error": failure_document(state.error),
            "nextAttemptAt": state.next_attempt_at,
            "reason": state.reason,
            "tolerated": state.tolerated or None,
            "items": state.items,
            "endedSeq": state.ended_seq or None,
        }
    )


def event_document(event: HistoryEvent) -> dict[str, Any]:
    """Return the document of one history event; its output is kept with the action it is of."""
    document = {
        key: encode(value) if encode else value
        for (key, encode, default), value in zip(_EVENT_FIELDS, event, strict=True)
        if value is not default
    }
    document.pop("output", None)
    return document


def ending_document(ending: Ending | None) -> dict[str, Any] | None:
    """Return the document of the end that an execution is on its way to."""
    if ending is None:
        return None
    return _present(
        {
            "status": ending.status.value,
            "undoing": list(ending.undoing),
            "error": failure_document(ending.error),
        }
    )


def origin_document(origin: Origin | None) -> dict[str, Any] | None:
    """Return the document that says which execution is repeated."""
    if origin is None:
        return None
    return _present(
        {"kind": origin.kind, "executionId": origin.execution_id, "action": origin.action}
    )


def lease_document(lease: Lease | None) -> dict[str, Any] | None:
    """Return the document of a lease."""
    if lease is None:
        return None
    return {"owner": lease.owner, "token": lease.token, "until": lease.until}


def failure_document(failure: Failure | None) -> dict[str, Any] | None:
    """Return the document of an error."""
    if failure is None:
        return None
    return {"category": failure.category.value, "message": failure.message}


def skip_document(skip: Skip | None) -> dict[str, Any] | None:
    """Return the document that says why nothing ran."""
    if skip is None:
        return None
    return _present(
        {
            "reason": skip.reason.value,
            "from": skip.first,
            "to": skip.last,
            "count": skip.count,
            "paused": pause_document(skip.paused),
        }
    )


def aware(value: datetime | None) -> datetime | None:
    """Return an instant read from the database, which is in UTC, as the aware one it is."""
    return None if value is None else value.replace(tzinfo=UTC)


def plain(value: Any) -> JsonValue:
    """Undo the driver's habit of reading `{"$ref": …, "$id": …}` as a reference object."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, DBRef):
        return plain(dict(value.as_doc()))
    result: JsonValue = value
    return result


def _same(value: Any) -> Any:
    return value


MUTABLE_FIELDS: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {
    "status": ("status", lambda status: status.value),
    "attempt": ("attempt", _same),
    "retries_left": ("retriesLeft", _same),
    "recoveries": ("recoveries", _same),
    "resends": ("resends", _same),
    "seq": ("seq", _same),
    "wake_at": ("wakeAt", _same),
    "next_attempt_at": ("nextAttemptAt", _same),
    "lease": ("lease", lease_document),
    "last_token": ("lastToken", _same),
    "active_key": ("activeKey", _same),
    "buffer_key": ("bufferKey", _same),
    "error": ("error", failure_document),
    "ending": ("ending", ending_document),
    "skip": ("skip", skip_document),
    "deadline": ("deadline", _same),
    "started_at": ("startedAt", _same),
    "finished_at": ("finishedAt", _same),
    "expires_at": ("expiresAt", _same),
}
"""The attributes that transitions change, with their field and how it is written."""


_EVENT_ENCODERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "type": lambda kind: kind.value,
    "error": failure_document,
    "undoing": list,
}
_EVENT_FIELDS: Final = tuple(
    (to_camel(name), _EVENT_ENCODERS.get(name), HistoryEvent._field_defaults.get(name))
    for name in HistoryEvent._fields
)
"""Of each member of an event: its field, how it is written, and the value that is left out."""


_BLANK: Final = Execution(
    id="",
    tenant="",
    workflow_id="",
    version=0,
    trigger_id="",
    status=Status.QUEUED,
    created_at=datetime.min.replace(tzinfo=UTC),
)
"""To be evolved: the constructor of a frozen class takes five times as long."""


def _present(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value is not None}


def _action(raw: Raw) -> ActionState:
    get = raw.get
    return ActionState(
        ActionStatus(raw["status"]),
        raw["attempts"],
        aware(get("startedAt")),
        aware(get("finishedAt")),
        plain(get("output")),
        _failure(get("error")),
        aware(get("nextAttemptAt")),
        get("reason"),
        get("tolerated", False),
        get("items"),
        get("endedSeq", 0),
    )


def to_event(raw: Raw, actions: Mapping[str, ActionState]) -> HistoryEvent:
    """Return the event that a document holds, with its output from the action's state."""
    get = raw.get
    digest, action = get("digest"), get("action")
    return HistoryEvent(
        raw["seq"],
        EventType(raw["type"]),
        raw["at"].replace(tzinfo=UTC),
        action,
        get("attempt"),
        get("runner"),
        aware(get("startedAt")),
        aware(get("nextAttemptAt")),
        _failure(get("error")),
        get("reason"),
        get("retriesLeft"),
        _output(actions, action) if digest else None,
        digest,
        get("items"),
        get("tolerated", False),
        tuple(get("undoing", ())),
        aware(get("deadline")),
        get("tzdata"),
        get("slot"),
        get("place"),
    )


def _output(actions: Mapping[str, ActionState], action: str | None) -> JsonValue:
    state = actions.get(action or "")
    return state.output if state else None


def _ending(raw: Raw | None) -> Ending | None:
    if raw is None:
        return None
    return Ending(Status(raw["status"]), tuple(raw["undoing"]), _failure(raw.get("error")))


def _origin(raw: Raw | None) -> Origin | None:
    return Origin(raw["kind"], raw["executionId"], raw.get("action")) if raw else None


def _failure(raw: Raw | None) -> Failure | None:
    return Failure(ErrorCategory(raw["category"]), raw["message"]) if raw else None


def _lease(raw: Raw | None) -> Lease | None:
    return Lease(raw["owner"], raw["token"], raw["until"].replace(tzinfo=UTC)) if raw else None


def _skip(raw: Raw | None) -> Skip | None:
    if raw is None:
        return None
    first, last = raw["from"].replace(tzinfo=UTC), raw["to"].replace(tzinfo=UTC)
    return Skip(SkipReason(raw["reason"]), first, last, raw["count"], to_pause(raw.get("paused")))


_FIELDS: Final[Mapping[str, tuple[str, Callable[[Any], Any] | None]]] = {
    "_id": ("id", None),
    "tenant": ("tenant", None),
    "workflowId": ("workflow_id", None),
    "version": ("version", None),
    "triggerId": ("trigger_id", None),
    "status": ("status", Status),
    "createdAt": ("created_at", aware),
    "scheduledFor": ("scheduled_for", aware),
    "input": ("input", plain),
    "requestFingerprint": ("request_fingerprint", None),
    "origin": ("origin", _origin),
    "deadline": ("deadline", aware),
    "attempt": ("attempt", None),
    "retriesLeft": ("retries_left", None),
    "recoveries": ("recoveries", None),
    "resends": ("resends", None),
    "seq": ("seq", None),
    "wakeAt": ("wake_at", aware),
    "nextAttemptAt": ("next_attempt_at", aware),
    "lease": ("lease", _lease),
    "lastToken": ("last_token", None),
    "activeKey": ("active_key", None),
    "bufferKey": ("buffer_key", None),
    "error": ("error", _failure),
    "ending": ("ending", _ending),
    "skip": ("skip", _skip),
    "startedAt": ("started_at", aware),
    "finishedAt": ("finished_at", aware),
    "expiresAt": ("expires_at", aware),
}
"""The fields that are read, with the attribute each becomes and how."""
