"""A definition, read for running: what needs what, and what undoes what."""

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property

from shared.domain.definition import ActionDefinition, RunIf, WorkflowDefinition
from shared.domain.execution import Execution
from shared.domain.graph import chain, in_order, upstream
from shared.domain.outcomes import action_of
from shared.domain.retry import RetryPolicy


class Plan:
    """The graph of one version of a definition; it never changes."""

    def __init__(self, definition: WorkflowDefinition) -> None:
        self.definition = definition
        self.concurrency = definition.concurrency
        given = {action.key: action for action in definition.actions}
        self.is_chain = all(action.needs is None for action in definition.actions)
        self.needs: Mapping[str, tuple[str, ...]] = (
            chain(given)
            if self.is_chain
            else {key: action.needs or () for key, action in given.items()}
        )
        order = given if self.is_chain else in_order(self.needs)
        self.actions: Mapping[str, ActionDefinition] = {key: given[key] for key in order}
        self.order = tuple(self.actions)
        self.buffers = definition.overlap_policy.buffers
        self.handles_failures = any(a.run_if is RunIf.FAILURE for a in definition.actions)

    @cached_property
    def undoing(self) -> Mapping[str, tuple[ActionDefinition, ...]]:
        """The compensations of each action that has any."""
        return {key: a.compensate for key, a in self.actions.items() if a.compensate}

    @cached_property
    def parents(self) -> Mapping[str, str]:
        """The action that each compensation undoes."""
        return {undo.key: key for key, undoing in self.undoing.items() for undo in undoing}

    def action(self, key: str) -> ActionDefinition:
        """Return the action, or compensation, that a call's key names. Raises KeyError."""
        action_id = action_of(key)
        if action_id in self.actions:
            return self.actions[action_id]
        return next(u for u in self.undoing[self.parents[action_id]] if u.key == action_id)

    def upstream(self, key: str) -> frozenset[str]:
        """Return every action whose outcome is known when this one, or what undoes it, starts."""
        parent = self.parents.get(key)
        return upstream(self.needs, key) if parent is None else frozenset(self.actions)

    def retry_policy(self, action: ActionDefinition) -> RetryPolicy:
        """Return the policy that governs an action."""
        return self.definition.retry_policy(action)


def is_waited_for(plan: Plan | None, execution: Execution) -> bool:
    """Tell whether another may wait for the end of an execution that holds its workflow.

    What a backfill added waits for its turn under every policy. Without a plan it is not known.
    """
    return plan is None or plan.buffers or execution.is_backfill


def initial_retries(definition: WorkflowDefinition) -> int:
    """Return how many retries the first action of a new execution has."""
    return definition.retry_policy(definition.actions[0]).retries


def deadline(definition: WorkflowDefinition, created_at: datetime) -> datetime | None:
    """Return when the timeout of an execution ends it."""
    return created_at + definition.timeout if definition.timeout else None
