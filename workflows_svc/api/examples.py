"""Request bodies as the OpenAPI document shows them."""

from typing import Any, Final

from shared.domain.backfill import Existing
from shared.domain.operations import Resolution
from shared.domain.pause import MAX_REASON

_PERIODIC: Final = {
    "workflowId": "recurrent-workflow",
    "trigger": {"type": "periodic", "interval": "10s"},
    "actions": [{"type": "http-request", "url": "https://example.com", "method": "GET"}],
}
_MANUAL: Final = {
    "workflowId": "hello",
    "trigger": {"type": "manual"},
    "actions": [{"type": "log", "message": "Hello, world"}],
}
_SEVERAL: Final = {
    "workflowId": "invoices",
    "triggers": [
        {"id": "nightly", "type": "cron", "schedule": "0 2 * * *", "timezone": "Europe/Berlin"},
        {"id": "month-end", "type": "cron", "schedule": "0 18 L * *"},
    ],
    "actions": [{"type": "log", "message": "started by ${ execution.trigger }"}],
}
_EDITED: Final = {"description": "Any JSON, in the place of the input of the earlier execution."}
_DEFINITION: Final = "#/components/schemas/WorkflowDefinition"


def definition_body() -> dict[str, Any]:
    """Describe a body that is a workflow definition."""
    return _body(
        {"$ref": _DEFINITION},
        {
            "periodic": {"summary": "Every ten seconds", "value": _PERIODIC},
            "manual": {"summary": "When it is triggered", "value": _MANUAL},
            "several": {"summary": "At the instants of several triggers", "value": _SEVERAL},
        },
    )


def enabled_body() -> dict[str, Any]:
    """Describe a body that switches a workflow on or off."""
    schema = {
        "type": "object",
        "properties": {"enabled": {"type": "boolean"}},
        "required": ["enabled"],
        "additionalProperties": False,
    }
    return _body(schema, {"disable": {"value": {"enabled": False}}})


def pause_body() -> dict[str, Any]:
    """Describe a body that says why a workflow is paused."""
    reason = {"type": "string", "minLength": 1, "maxLength": MAX_REASON}
    schema = {
        "type": "object",
        "properties": {"reason": reason},
        "required": ["reason"],
        "additionalProperties": False,
    }
    return _body(schema, {"maintenance": {"value": {"reason": "the warehouse is being moved"}}})


def backfill_body() -> dict[str, Any]:
    """Describe a body that says which instants to run after the fact."""
    schema = {
        "type": "object",
        "properties": {
            "from": {"type": "string", "format": "date-time"},
            "to": {"type": "string", "format": "date-time", "description": "Not included."},
            "existing": {"enum": [each.value for each in Existing], "default": "none"},
            "dryRun": {"type": "boolean", "default": False, "description": "Run nothing."},
        },
        "required": ["from", "to"],
        "additionalProperties": False,
    }
    week = {"from": "2026-11-01T00:00:00Z", "to": "2026-11-08T00:00:00Z", "dryRun": True}
    return _body(schema, {"what a week would be": {"value": week}})


def input_body() -> dict[str, Any]:
    """Describe a body that is any JSON, the input of an execution."""
    extra = _body({}, {"order": {"value": {"orderId": 42}}})
    extra["requestBody"]["required"] = False
    return extra


def resolve_body() -> dict[str, Any]:
    """Describe a body that answers whether a call happened."""
    schema = {
        "type": "object",
        "properties": {
            "resolution": {"enum": [resolution.value for resolution in Resolution]},
            "output": {"description": "What the call gave; only if it happened."},
        },
        "required": ["resolution"],
        "additionalProperties": False,
    }
    return _body(
        schema,
        {
            "happened": {"value": {"resolution": "happened", "output": {"paymentId": "p-42"}}},
            "did-not-happen": {"value": {"resolution": "did-not-happen"}},
            "retry": {"value": {"resolution": "retry"}},
        },
    )


def replay_body() -> dict[str, Any]:
    """Describe a body that says from where on to repeat an execution."""
    schema = {
        "type": "object",
        "properties": {"fromAction": {"type": "string"}, "input": _EDITED},
        "required": ["fromAction"],
        "additionalProperties": False,
    }
    return _body(
        schema,
        {
            "same input": {"value": {"fromAction": "reserve"}},
            "edited input": {"value": {"fromAction": "reserve", "input": {"orderId": 42}}},
        },
    )


def rerun_body() -> dict[str, Any]:
    """Describe a body that may have another input for an execution that is run anew."""
    schema = {"type": "object", "properties": {"input": _EDITED}, "additionalProperties": False}
    extra = _body(schema, {"edited input": {"value": {"input": {"orderId": 42}}}})
    extra["requestBody"]["required"] = False
    return extra


def _body(schema: dict[str, Any], cases: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": schema, "examples": cases}}
    return {"requestBody": {"required": True, "content": content}}
