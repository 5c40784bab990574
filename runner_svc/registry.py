"""The actions this runner can run: each a model of its parameters plus an async function."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from pydantic import JsonValue

from shared.domain.catalogue import ActionCatalogue, Effect
from shared.domain.definition import ActionDefinition
from shared.ports.actions import Action, ActionContext, PermanentError, Until

Handler = Callable[[Any, ActionContext], Awaitable[JsonValue | Until]]


class ActionRegistry:
    """Finds the function for an action. Raises Misconfigured if two share a name."""

    def __init__(self, actions: Iterable[Action]) -> None:
        known = list(actions)
        self.catalogue = ActionCatalogue([action.spec for action in known])
        self._handlers = {action.spec.name: action.run for action in known}

    def handler(self, action: ActionDefinition) -> Handler:
        """Return the function that runs an action. Raises ActionError (permanent) if none does."""
        handler = self._handlers.get(action.type)
        if handler is None:
            known = ", ".join(self._handlers)
            raise PermanentError(f"this runner knows no action '{action.type}'; it knows {known}")
        return handler

    def effect(self, action: ActionDefinition) -> Effect:
        """Return what repeating a call of an action would do."""
        return self.catalogue.effect(action.type)
