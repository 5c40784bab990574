"""What an action is: a model of its parameters plus an async function.

Packages add actions through the entry-point group `workflows.actions`; each
entry names an `Action`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import JsonValue

from shared.domain.catalogue import ActionSpec, Effect
from shared.domain.definition import ActionDefinition
from shared.domain.execution import RETRIED, ErrorCategory
from shared.domain.retry import RetryPolicy

ENTRY_POINT_GROUP: Final = "workflows.actions"


@dataclass(frozen=True, slots=True)
class ActionContext:
    """What an action may know of the execution it runs in.

    `idempotency_key` names this action of this execution (and this item of a forEach);
    it is the same over every attempt, redelivery and recovery.
    """

    tenant: str
    workflow_id: str
    execution_id: str
    action_id: str
    attempt: int
    input: JsonValue
    idempotency_key: str


class ActionError(Exception):
    """Raised by an action that could not do its work. The message is kept in the history.

    The category decides what follows: a `transient` error is retried at once the first
    time, a `recoverable` one (the default) after a backoff and not before `retry_after`,
    a `permanent` one never. From an at-most-once action it says that the effect did not
    happen; any other exception leaves that open.
    """

    def __init__(
        self,
        message: str,
        *,
        category: ErrorCategory = ErrorCategory.RECOVERABLE,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(message)
        self.category = category
        self.retry_after = retry_after

    @property
    def retryable(self) -> bool:
        """Whether a retry policy applies to it."""
        return self.category in RETRIED


class PermanentError(ActionError):
    """An error that no retry mends."""

    def __init__(self, message: str) -> None:
        super().__init__(message, category=ErrorCategory.PERMANENT)


@dataclass(frozen=True, slots=True)
class Until:
    """Returned by an action that completes by itself at an instant; no runner waits for it."""

    instant: datetime


@dataclass(frozen=True, slots=True)
class Action:
    """One type of action: `params` reads and checks its definition, `run` does the work.

    `run` gets an instance of `params` and the context, and returns a JSON value, its
    output, or `Until`. Any exception but ActionError counts as a recoverable failure.
    `retry` and `timeout` apply where a definition says nothing.
    """

    params: type[ActionDefinition]
    run: Callable[[Any, ActionContext], Awaitable[JsonValue | Until]]
    effect: Effect = Effect.IDEMPOTENT
    retry: RetryPolicy | None = None
    timeout: timedelta | None = None

    @classmethod
    def of(
        cls, spec: ActionSpec, run: Callable[[Any, ActionContext], Awaitable[JsonValue | Until]]
    ) -> "Action":
        """Return the action that a specification describes."""
        return cls(spec.params, run, spec.effect, spec.retry, spec.timeout)

    @property
    def spec(self) -> ActionSpec:
        """What is known of it without being able to run it."""
        return ActionSpec(self.params, self.effect, self.retry, self.timeout)
