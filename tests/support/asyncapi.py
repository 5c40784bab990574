"""The AsyncAPI text, made from the models that the services use; `make docs` writes it."""

import io
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from ruamel.yaml import YAML

from shared.contracts.lifecycle import ExecutionEvent
from shared.contracts.notices import (
    ExecutionCancelledEvent,
    ExecutionWakesEvent,
    WorkflowChangedEvent,
    WorkflowFreedEvent,
)
from shared.contracts.requests import TYPE, ExecutionRequestEvent
from shared.contracts.topics import Topics

FILE: Final = Path(__file__).parents[2] / "docs" / "asyncapi.yaml"
_NOTICES: Final = (
    WorkflowChangedEvent,
    WorkflowFreedEvent,
    ExecutionWakesEvent,
    ExecutionCancelledEvent,
)
_RECORD_HEADERS: Final = {
    "type": "object",
    "properties": {
        "reason": {"type": "string", "description": "Why no runner could understand it."},
        "topic": {"type": "string", "description": "Where it came from."},
        "partition": {"type": "string"},
        "offset": {"type": "string"},
        "timestamp": {"type": "string", "format": "date-time"},
    },
}


def document() -> dict[str, Any]:
    """Return the description of every topic, AsyncAPI 3.0."""
    topics = Topics()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Workflow automation: messages",
            "version": "1",
            "description": (
                "Kafka carries wake-up calls, which may be lost, doubled or late, and lifecycle "
                "events for anyone to subscribe to, which come at least once. The truth is in "
                "MongoDB. "
                "Messages are CloudEvents 1.0 in structured JSON mode; the type "
                "ends in the version of the data. KAFKA_TOPIC_PREFIX is put before every address."
            ),
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": {
            "executionRequests": {
                "address": topics.requests,
                "description": "Asks any runner to claim an execution. The key is the workflow id; "
                "a request that is sent again has none.",
                "messages": {"executionRequest": _message(ExecutionRequestEvent, TYPE)},
            },
            "deadLetters": {
                "address": topics.dead_letters,
                "description": "Copies of messages that no runner could understand, bytes and key "
                "unchanged. The record that counts is in MongoDB (`/dead-letters`).",
                "messages": {"deadLetter": {"title": "Dead letter", "headers": _RECORD_HEADERS}},
            },
            "executionEvents": {
                "address": topics.events,
                "description": "What becomes of executions, at least once, also across crashes. "
                "The key is the workflow id.",
                "messages": {"executionEvent": _message(ExecutionEvent)},
            },
            "notices": {
                "address": topics.notices,
                "description": "Hints for every scheduler and runner. Losing one costs time only.",
                "messages": {_name(model): _message(model) for model in _NOTICES},
            },
        },
        "operations": {
            "sendExecutionRequest": _operation("send", "executionRequests", "workflows, scheduler"),
            "receiveExecutionRequest": _operation("receive", "executionRequests", "runner"),
            "sendDeadLetter": _operation("send", "deadLetters", "runner"),
            "sendExecutionEvent": _operation(
                "send", "executionEvents", "workflows, scheduler, runner"
            ),
            "sendNotice": _operation("send", "notices", "workflows, runner"),
            "receiveNotice": _operation("receive", "notices", "scheduler, runner"),
        },
    }


def text() -> str:
    """Return the document as YAML."""
    yaml = YAML()
    yaml.width = 100
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump(document(), stream)
    return stream.getvalue()


def _operation(action: str, channel: str, services: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": f"Done by: {services}",
    }


def _message(model: type[BaseModel], event_type: str | None = None) -> dict[str, Any]:
    payload = _inlined(model.model_json_schema(mode="serialization"))
    if event_type:
        payload["properties"]["type"]["const"] = event_type
    summary = " ".join(payload.pop("description").split())
    return {"title": model.__name__, "summary": summary, "payload": payload}


def _name(model: type[BaseModel]) -> str:
    name = model.__name__.removesuffix("Event")
    return name[0].lower() + name[1:]


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Put each definition where it is referred to, so that a message reads as a whole."""
    definitions = schema.pop("$defs", {})

    def resolved(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return resolved(definitions[node["$ref"].rpartition("/")[2]])
            return {k: resolved(v) for k, v in node.items() if k != "title" or isinstance(v, dict)}
        return [resolved(item) for item in node] if isinstance(node, list) else node

    result: dict[str, Any] = resolved(schema)
    return result


if __name__ == "__main__":
    FILE.write_text(text())
