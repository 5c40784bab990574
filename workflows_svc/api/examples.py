"""Request bodies as the OpenAPI document shows them."""

from typing import Any, Final

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
_DEFINITION: Final = "#/components/schemas/WorkflowDefinition"


def definition_body() -> dict[str, Any]:
    """Describe a body that is a workflow definition."""
    return _body(
        {"$ref": _DEFINITION},
        {
            "periodic": {"summary": "Every ten seconds", "value": _PERIODIC},
            "manual": {"summary": "When it is triggered", "value": _MANUAL},
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


def input_body() -> dict[str, Any]:
    """Describe a body that is any JSON, the input of an execution."""
    extra = _body({}, {"order": {"value": {"orderId": 42}}})
    extra["requestBody"]["required"] = False
    return extra


def _body(schema: dict[str, Any], cases: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": schema, "examples": cases}}
    return {"requestBody": {"required": True, "content": content}}
