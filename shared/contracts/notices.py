"""The notices that schedulers and runners read: bytes in, bytes out."""

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError

from shared.contracts.cloudevents import CloudEvent, Instant, Message
from shared.ports.bus import (
    ExecutionCancelled,
    ExecutionWakes,
    Notice,
    WorkflowChanged,
    WorkflowFreed,
)


class WorkflowChangedData(Message):
    """Which workflow has a new next instant."""

    tenant: str
    workflow_id: str
    next_run_at: Instant


class WorkflowFreedData(Message):
    """Which workflow may have room for what is buffered."""

    tenant: str
    workflow_id: str


class ExecutionWakesData(Message):
    """Which execution is to be looked at, and when."""

    execution_id: str
    tenant: str
    workflow_id: str
    wake_at: Instant


class ExecutionCancelledData(Message):
    """Which execution was cancelled, and the token of the lease that ended with that."""

    execution_id: str
    token: str | None = None


class WorkflowChangedEvent(CloudEvent):
    """A workflow was created or its schedule changed."""

    type: Literal["workflows.workflow-changed.v1"] = "workflows.workflow-changed.v1"
    data: WorkflowChangedData


class WorkflowFreedEvent(CloudEvent):
    """An execution of a workflow has ended, or one waits for its turn."""

    type: Literal["workflows.workflow-freed.v1"] = "workflows.workflow-freed.v1"
    data: WorkflowFreedData


class ExecutionWakesEvent(CloudEvent):
    """An execution went into a short backoff."""

    type: Literal["workflows.execution-wakes.v1"] = "workflows.execution-wakes.v1"
    data: ExecutionWakesData


class ExecutionCancelledEvent(CloudEvent):
    """An execution was cancelled."""

    type: Literal["workflows.execution-cancelled.v1"] = "workflows.execution-cancelled.v1"
    data: ExecutionCancelledData


NoticeEvent = (
    WorkflowChangedEvent | WorkflowFreedEvent | ExecutionWakesEvent | ExecutionCancelledEvent
)
_ADAPTER: Final[TypeAdapter[NoticeEvent]] = TypeAdapter(
    Annotated[NoticeEvent, Field(discriminator="type")]
)


def encode_notice(notice: Notice, source: str, now: datetime, event_id: str) -> bytes:
    """Return the message for a notice."""
    return _event(notice, source, now, event_id).model_dump_json(by_alias=True).encode()


def decode_notice(value: bytes) -> Notice | None:
    """Return the notice, or None for bytes that mean nothing here; a notice is only a hint."""
    try:
        event = _ADAPTER.validate_json(value)
    except ValidationError:
        return None
    match event:
        case WorkflowChangedEvent(data=data):
            return WorkflowChanged(data.tenant, data.workflow_id, data.next_run_at)
        case WorkflowFreedEvent(data=data):
            return WorkflowFreed(data.tenant, data.workflow_id)
        case ExecutionWakesEvent(data=data):
            return ExecutionWakes(data.execution_id, data.tenant, data.workflow_id, data.wake_at)
        case ExecutionCancelledEvent(data=data):
            return ExecutionCancelled(data.execution_id, data.token)


def _event(notice: Notice, source: str, now: datetime, event_id: str) -> NoticeEvent:
    match notice:
        case WorkflowChanged():
            return WorkflowChangedEvent(
                id=event_id,
                source=source,
                time=now,
                subject=notice.workflow_id,
                data=WorkflowChangedData(
                    tenant=notice.tenant,
                    workflow_id=notice.workflow_id,
                    next_run_at=notice.next_run_at,
                ),
            )
        case WorkflowFreed():
            return WorkflowFreedEvent(
                id=event_id,
                source=source,
                time=now,
                subject=notice.workflow_id,
                data=WorkflowFreedData(tenant=notice.tenant, workflow_id=notice.workflow_id),
            )
        case ExecutionWakes():
            return ExecutionWakesEvent(
                id=event_id,
                source=source,
                time=now,
                subject=notice.execution_id,
                data=ExecutionWakesData(
                    execution_id=notice.execution_id,
                    tenant=notice.tenant,
                    workflow_id=notice.workflow_id,
                    wake_at=notice.wake_at,
                ),
            )
        case ExecutionCancelled():
            return ExecutionCancelledEvent(
                id=event_id,
                source=source,
                time=now,
                subject=notice.execution_id,
                data=ExecutionCancelledData(execution_id=notice.execution_id, token=notice.token),
            )
