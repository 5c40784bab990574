"""What the core needs of the event bus. It carries wake-up calls; the truth is in storage."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ExecutionRequest:
    """Asks whichever runner gets it to claim and run an execution."""

    execution_id: str
    tenant: str
    workflow_id: str
    emitted_at: datetime


@dataclass(frozen=True, slots=True)
class WorkflowChanged:
    """Tells schedulers that a workflow has a new next instant."""

    tenant: str
    workflow_id: str
    next_run_at: datetime


@dataclass(frozen=True, slots=True)
class ExecutionWakes:
    """Tells schedulers that an execution is to be looked at, at `wake_at`."""

    execution_id: str
    tenant: str
    workflow_id: str
    wake_at: datetime


@dataclass(frozen=True, slots=True)
class WorkflowFreed:
    """Tells schedulers to look whether what is buffered of a workflow may go on.

    Something of it has ended, or something new waits.
    """

    tenant: str
    workflow_id: str


@dataclass(frozen=True, slots=True)
class ExecutionCancelled:
    """Tells the runner that held an execution, under this token, to stop working on it.

    Whoever claims it later, perhaps to undo what it did, is not meant.
    """

    execution_id: str
    token: str | None = None


Notice = WorkflowChanged | WorkflowFreed | ExecutionWakes | ExecutionCancelled
"""Something that is worth knowing early. A lost notice costs time, never correctness."""


@dataclass(frozen=True, slots=True)
class Record:
    """A message as it lay on the bus, byte for byte."""

    topic: str
    partition: int
    offset: int
    timestamp: datetime
    key: bytes | None
    value: bytes


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that was received: what it asks for, or why it cannot be understood.

    Neither is set for a message that is meant for a newer version of the runner.
    """

    record: Record
    request: ExecutionRequest | None = None
    problem: str | None = None


class RequestPublisher(Protocol):
    """Sends execution requests."""

    async def publish(self, requests: Sequence[ExecutionRequest], *, spread: bool = False) -> None:
        """Return when the bus has accepted all of them; raise Unavailable otherwise.

        Requests of one workflow keep their order, unless `spread` hands them to any runner.
        """
        ...


class RequestSubscriber(Protocol):
    """Receives execution requests, shared among all runners."""

    async def fetch(self, limit: int, wait: timedelta) -> list[Delivery]:
        """Return up to `limit` deliveries, after at most `wait` an empty list.

        With limit 0 it takes nothing but stays a member of the group. Raises
        Unavailable while the bus cannot be reached.
        """
        ...

    async def commit(self, deliveries: Sequence[Delivery]) -> None:
        """Mark deliveries as done. What was not committed may be delivered again."""
        ...


class NoticePublisher(Protocol):
    """Sends notices."""

    async def announce(self, notices: Sequence[Notice]) -> None:
        """Send to every scheduler and runner; raise Unavailable if the bus did not take them."""
        ...


class NoticeSubscriber(Protocol):
    """Receives notices, each subscriber all of them, from the moment it started."""

    async def fetch(self, wait: timedelta) -> list[Notice]:
        """Return what came, after at most `wait` an empty list; Unavailable if out of reach."""
        ...


class RecordPublisher(Protocol):
    """Moves messages that could not be understood."""

    async def dead_letter(self, record: Record, reason: str) -> None:
        """Copy a message to the dead-letter topic with its origin and the reason."""
        ...

    async def requeue(self, record: Record) -> None:
        """Put a message back onto the topic it came from, bytes unchanged."""
        ...
