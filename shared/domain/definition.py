"""What a user writes: a workflow definition with its trigger, actions and retry policy."""

from collections import Counter
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic.alias_generators import to_camel

from shared.domain.durations import Interval
from shared.domain.retry import RetryPolicy

MAX_ACTIONS: Final = 100

_MODEL = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)

WorkflowId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9._-]{1,128}$",
        description="Letters, digits, '.', '_' and '-', at most 128 of them.",
    ),
]
ActionId = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="Unique within the workflow; by default the type and position, as in 'log-1'.",
    ),
]


class PeriodicTrigger(BaseModel):
    """Runs the workflow every `interval`, first one interval after it was created."""

    model_config = _MODEL

    type: Literal["periodic"]
    interval: Interval


class ManualTrigger(BaseModel):
    """Runs the workflow only when somebody triggers it."""

    model_config = _MODEL

    type: Literal["manual"]


Trigger = Annotated[PeriodicTrigger | ManualTrigger, Field(discriminator="type")]


class ActionDefinition(BaseModel):
    """What every action has in common; each type of action adds its own parameters."""

    model_config = _MODEL

    id: ActionId | None = None
    type: str
    retry: Annotated[
        RetryPolicy | None, Field(description="Overrides the workflow's retry policy.")
    ] = None

    @property
    def key(self) -> str:
        """The action's id; a workflow definition gives every action one."""
        if self.id is None:
            raise ValueError("an action gets its id from the workflow definition it is part of")
        return self.id


class WorkflowDefinition(BaseModel):
    """A workflow as its author means it. `ActionCatalogue.model` narrows `actions` to known types.

    Actions run one after the other, in order.
    """

    model_config = _MODEL

    workflow_id: WorkflowId
    trigger: Trigger
    actions: Annotated[tuple[ActionDefinition, ...], Field(min_length=1, max_length=MAX_ACTIONS)]
    retry: RetryPolicy = RetryPolicy()

    @field_validator("actions", mode="after")
    @classmethod
    def _name_actions(cls, actions: tuple[ActionDefinition, ...]) -> tuple[ActionDefinition, ...]:
        if all(a.id for a in actions) and len({a.id for a in actions}) == len(actions):
            return actions
        named = tuple(
            action
            if action.id
            else action.model_copy(update={"id": f"{action.type}-{position}"[:64]})
            for position, action in enumerate(actions, start=1)
        )
        twice = sorted(key for key, n in Counter(a.key for a in named).items() if n > 1)
        if twice:
            raise ValueError(f"must have different ids; used more than once: {', '.join(twice)}")
        return named

    def retry_policy(self, action: ActionDefinition) -> RetryPolicy:
        """Return the policy that governs an action: its own, else the workflow's."""
        return action.retry or self.retry
