"""What an action is: a model of its parameters plus an async function.

Packages add actions through the entry-point group `workflows.actions`; each
entry names an `Action`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from pydantic import JsonValue

from shared.domain.definition import ActionDefinition

ENTRY_POINT_GROUP: Final = "workflows.actions"


@dataclass(frozen=True, slots=True)
class ActionContext:
    """What an action may know of the execution it runs in.

    `idempotency_key` is the same over every attempt, redelivery and recovery of
    this action of this execution.
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

    A retryable error (the default) is tried again within the retry policy, not
    before `retry_after` if that is given; a permanent one fails the execution.
    """

    def __init__(
        self, message: str, *, retryable: bool = True, retry_after: timedelta | None = None
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Action:
    """One type of action: `params` reads and checks its definition, `run` does the work.

    `run` gets an instance of `params` and the context, and returns a JSON value,
    its output. Any exception but ActionError counts as a retryable failure.
    """

    params: type[ActionDefinition]
    run: Callable[[Any, ActionContext], Awaitable[JsonValue]]
