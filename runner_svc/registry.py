"""The actions this runner can run: each a model of its parameters plus an async function."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from pydantic import JsonValue

from shared.domain.catalogue import ActionCatalogue, action_type
from shared.domain.definition import ActionDefinition
from shared.ports.actions import Action, ActionContext, ActionError

Handler = Callable[[Any, ActionContext], Awaitable[JsonValue]]


class ActionRegistry:
    """Finds the function for an action. Raises Misconfigured if two share a name."""

    def __init__(self, actions: Iterable[Action]) -> None:
        known = list(actions)
        self.catalogue = ActionCatalogue([action.params for action in known])
        self._handlers = {action_type(action.params): action.run for action in known}

    def handler(self, action: ActionDefinition) -> Handler:
        """Return the function that runs an action. Raises ActionError (permanent) if none does."""
        handler = self._handlers.get(action.type)
        if handler is None:
            known = ", ".join(self._handlers)
            raise ActionError(
                f"this runner knows no action '{action.type}'; it knows {known}", retryable=False
            )
        return handler
