"""The one tree of errors this project raises on purpose.

No error here knows an HTTP status or a driver: adapters raise them, the edges
translate them (`workflows_svc/api/problems.py`, `local/cli`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

_SHOWN: Final = 80


class PlatformError(Exception):
    """Base of every expected failure; `str(error)` is a sentence for a person."""


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing wrong with one field: where (JSON pointer, RFC 6901), and what would be right."""

    pointer: str
    detail: str


class InvalidInput(PlatformError):
    """The caller's input breaks a rule; nothing was changed."""

    def __init__(self, problems: Sequence[FieldProblem]) -> None:
        super().__init__("; ".join(f"{p.pointer or '(document)'}: {p.detail}" for p in problems))
        self.problems = tuple(problems)


class NotFound(PlatformError):
    """Nothing of that kind has that id."""

    def __init__(self, kind: str, identifier: str) -> None:
        super().__init__(f"There is no {kind} '{identifier}'.")
        self.kind = kind
        self.identifier = identifier


class Conflict(PlatformError):
    """The request is well-formed but the present state forbids it."""


class WorkflowExists(Conflict):
    """A workflow with this id and another definition is already there."""

    def __init__(self, workflow_id: str, version: int) -> None:
        super().__init__(
            f"Workflow '{workflow_id}' exists (version {version}) with another definition. "
            f"PUT /workflows/{workflow_id} replaces it."
        )
        self.workflow_id = workflow_id
        self.version = version


class WorkflowDisabled(Conflict):
    """The workflow was disabled, so it takes no triggers."""

    def __init__(self, workflow_id: str) -> None:
        super().__init__(
            f"Workflow '{workflow_id}' is disabled. "
            f'PATCH /workflows/{workflow_id} {{"enabled": true}} enables it.'
        )
        self.workflow_id = workflow_id


class WorkflowBusy(Conflict):
    """Another execution of the workflow is unfinished, and it holds the workflow.

    `buffered` are those that wait for its end, if that is as many as may.
    """

    def __init__(
        self,
        workflow_id: str,
        *,
        status: str,
        execution_id: str,
        retries_left: int,
        next_attempt_at: datetime | None,
        buffered: int = 0,
    ) -> None:
        full = f", and its buffer is full with {buffered}" if buffered else ""
        said = f"Workflow '{workflow_id}' is {status} with execution '{execution_id}'{full}."
        super().__init__(said)
        self.workflow_id = workflow_id
        self.status = status
        self.execution_id = execution_id
        self.retries_left = retries_left
        self.next_attempt_at = next_attempt_at


class ExecutionFinished(Conflict):
    """The execution has ended, so it can no longer be cancelled."""

    def __init__(self, execution_id: str, status: str) -> None:
        super().__init__(f"Execution '{execution_id}' has already ended: {status}.")
        self.execution_id = execution_id
        self.status = status


class VersionMismatch(PlatformError):
    """`If-Match` named a version that is no longer the current one."""

    def __init__(self, workflow_id: str, current: int) -> None:
        super().__init__(
            f"Workflow '{workflow_id}' is at version {current}: read it again, then repeat."
        )
        self.workflow_id = workflow_id
        self.current = current


class IdempotencyKeyReused(PlatformError):
    """The `Idempotency-Key` was used before with another body."""

    def __init__(self, execution_id: str) -> None:
        super().__init__(
            "This Idempotency-Key was used with another body "
            f"(execution '{execution_id}'): use a new key for a new request."
        )
        self.execution_id = execution_id


class IllegalTransition(PlatformError):
    """An event that the transition table does not allow in the present status."""

    def __init__(self, event: str, status: str) -> None:
        super().__init__(f"'{event}' cannot happen to an execution that is {status}.")
        self.event = event
        self.status = status


class Unavailable(PlatformError):
    """A dependency (MongoDB, Kafka) did not answer; the same request may work later."""

    def __init__(self, dependency: str, reason: str) -> None:
        super().__init__(f"{dependency} is not available: {reason}")
        self.dependency = dependency
        self.reason = reason


class Misconfigured(PlatformError):
    """A setting or the environment is wrong; the message names the cause and the cure."""


class InvalidExpression(PlatformError):
    """The text of an expression does not compile, or uses what the language does not offer."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{_shown(source)}: {reason}")
        self.source = source
        self.reason = reason


class EvaluationFailed(PlatformError):
    """An expression has no value here and now: a missing field, a wrong type, too much work."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{_shown(source)}: {reason}")
        self.source = source
        self.reason = reason


def _shown(source: str) -> str:
    """Return an expression on one line, as it stands in a definition; a long one shortened."""
    line = " ".join(source.split())
    return f"${{ {line if len(line) <= _SHOWN else line[:_SHOWN] + '…'} }}"
