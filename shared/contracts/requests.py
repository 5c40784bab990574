"""The ExecutionRequest message: bytes in, bytes out."""

from typing import Annotated, Final

from pydantic import Field, ValidationError
from pydantic_core import from_json, to_json

from shared.contracts.cloudevents import CloudEvent, Message, split_type
from shared.domain.instants import format_instant
from shared.ports.bus import Delivery, ExecutionRequest, Record

KIND: Final = "workflows.execution-request"
VERSION: Final = 1
TYPE: Final = f"{KIND}.v{VERSION}"

_Name = Annotated[str, Field(min_length=1, max_length=1024)]


class ExecutionRequestData(Message):
    """Which execution to claim and run."""

    execution_id: _Name
    tenant: _Name
    workflow_id: _Name


class ExecutionRequestEvent(CloudEvent):
    """The whole message on the topic `execution-requests`."""

    data: ExecutionRequestData


def encode_request(request: ExecutionRequest, source: str) -> bytes:
    """Return the message that asks for an execution; `source` names the sending service.

    It is written out instead of going through the model, which takes four times as long.
    """
    emitted = format_instant(request.emitted_at)
    return to_json(
        {
            "specversion": "1.0",
            "id": f"{request.execution_id}@{emitted}",
            "source": source,
            "type": TYPE,
            "time": emitted,
            "subject": request.execution_id,
            "datacontenttype": "application/json",
            "data": {
                "executionId": request.execution_id,
                "tenant": request.tenant,
                "workflowId": request.workflow_id,
            },
        }
    )


def decode_request(record: Record) -> Delivery:
    """Return what a record asks for, or why it is poison; neither if it is for a newer runner."""
    try:
        event = ExecutionRequestEvent.model_validate_json(record.value)
    except ValidationError as error:
        return _undecodable(record, error)
    kind = split_type(event.type)
    if kind != (KIND, VERSION):
        return _of_other_type(record, event.type)
    request = ExecutionRequest(
        event.data.execution_id, event.data.tenant, event.data.workflow_id, event.time
    )
    return Delivery(record, request=request)


def _undecodable(record: Record, error: ValidationError) -> Delivery:
    """A newer version may have other data, so its type is looked at before it counts as poison."""
    try:
        parsed = from_json(record.value)
    except ValueError:
        return Delivery(record, problem="not JSON")
    event_type = parsed.get("type") if isinstance(parsed, dict) else None
    if isinstance(event_type, str) and _is_newer(event_type):
        return Delivery(record)
    first = error.errors(include_url=False, include_input=False)[0]
    where = "/".join(str(segment) for segment in first["loc"]) or "message"
    return Delivery(record, problem=f"not an execution request: {where}: {first['msg']}")


def _of_other_type(record: Record, event_type: str) -> Delivery:
    if _is_newer(event_type):
        return Delivery(record)
    return Delivery(record, problem=f"not an execution request: its type is '{event_type[:200]}'")


def _is_newer(event_type: str) -> bool:
    kind = split_type(event_type)
    return kind is not None and kind[0] == KIND and kind[1] > VERSION
