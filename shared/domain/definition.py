"""What a user writes: a workflow definition with its trigger, actions and retry policy."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Final

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializeAsAny,
    ValidationInfo,
    field_validator,
)
from pydantic.alias_generators import to_camel

from shared.domain.durations import Timeout
from shared.domain.graph import check_graph
from shared.domain.overlap import (
    MaxBuffered,
    MaxConcurrent,
    Overlap,
    OverlapField,
    OverlapPolicy,
    check_buffered,
    check_concurrent,
    policy_of,
)
from shared.domain.retry import RetryPolicy
from shared.domain.trigger_ids import AnyTrigger, identified, trigger_id
from shared.domain.triggers import ForeignTrigger, Trigger

MAX_ACTIONS: Final = 100
MAX_TRIGGERS: Final = 10
MAX_ITEMS: Final = 1_000
DEFAULT_CONCURRENCY: Final = 10

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


Expression = Annotated[
    str,
    Field(
        pattern=r"^\$\{[\s\S]+\}$",
        max_length=4_200,
        description="One CEL expression, as in '${ input.amount > 100 }'.",
    ),
]


class RunIf(StrEnum):
    """Which outcomes of the actions it needs let an action run."""

    SUCCESS = "success"
    FAILURE = "failure"
    ALWAYS = "always"


class OnError(StrEnum):
    """What the final failure of an action leads to."""

    STOP = "stop"
    CONTINUE = "continue"
    RETRY = "retry"
    COMPENSATE = "compensate"


class ForEach(BaseModel):
    """Runs the action once for each item of a list, which expressions see as `item` and `index`."""

    model_config = _MODEL

    items: Annotated[
        Expression | list[JsonValue],
        Field(description=f"A list, or an expression that gives one; at most {MAX_ITEMS} items."),
    ]
    concurrency: Annotated[
        int, Field(ge=1, le=100, strict=True, description="How many items run at a time.")
    ] = DEFAULT_CONCURRENCY


def _is_default(value: object) -> bool:
    return value is RunIf.SUCCESS or value is OnError.STOP or value == ()


class ActionDefinition(BaseModel):
    """What every action has in common; each type of action adds its own parameters."""

    model_config = _MODEL

    id: ActionId | None = None
    type: Annotated[str, Field(description="One of the types of action.")]
    needs: Annotated[
        tuple[ActionId, ...] | None,
        Field(
            max_length=MAX_ACTIONS,
            description="The actions that must have ended before this one starts. If no action of "
            "a workflow has it, they run in order.",
        ),
    ] = None
    when: Annotated[
        Expression | None, Field(description="The action is skipped unless this is true.")
    ] = None
    run_if: Annotated[
        RunIf,
        Field(
            exclude_if=_is_default,
            description="success: nothing it needs failed. failure: something did. always: either.",
        ),
    ] = RunIf.SUCCESS
    for_each: Annotated[
        ForEach | None,
        Field(
            description="Runs it once per item of a list; its output is the list of what they "
            "gave, `null` where one failed."
        ),
    ] = None
    on_error: Annotated[
        OnError,
        Field(
            exclude_if=_is_default,
            description="stop: nothing further starts and the execution fails. continue: it goes "
            "on as if the action had succeeded. retry: it is retried until it succeeds or the "
            "execution ends. compensate: as stop, then what was completed is undone.",
        ),
    ] = OnError.STOP
    timeout: Annotated[Timeout | None, Field(description="How long one attempt may take.")] = None
    retry: Annotated[
        RetryPolicy | None, Field(description="Overrides the workflow's retry policy.")
    ] = None
    compensate: Annotated[
        tuple[SerializeAsAny["ActionDefinition"], ...],
        Field(
            exclude_if=_is_default,
            max_length=10,
            description="The actions that undo this one, should the execution have to.",
        ),
    ] = ()

    @property
    def key(self) -> str:
        """The action's id; a workflow definition gives every action one."""
        if self.id is None:
            raise ValueError("an action gets its id from the workflow definition it is part of")
        return self.id

    @field_validator("compensate", mode="after")
    @classmethod
    def _simple(cls, actions: tuple["ActionDefinition", ...]) -> tuple["ActionDefinition", ...]:
        for action in actions:
            given = sorted(to_camel(n) for n in _ONLY_IN_GRAPH & action.model_fields_set)
            if given:
                raise ValueError(f"must be plain actions; '{action.type}' has {', '.join(given)}")
        return actions


_ONLY_IN_GRAPH: Final = frozenset({"needs", "when", "run_if", "for_each", "on_error", "compensate"})


_ONE_OR_SEVERAL: Final[dict[str, JsonValue]] = {
    "oneOf": [
        {"required": ["trigger"], "properties": {"trigger": {"type": "object"}}},
        {"required": ["triggers"], "properties": {"triggers": {"type": "array"}}},
    ]
}


class WorkflowDefinition(BaseModel):
    """A workflow as its author means it. `ActionCatalogue.model` narrows `actions` to known types.

    Actions run one after the other, in order, unless one of them has `needs`: then each
    starts as soon as what it needs has ended.
    """

    model_config = _MODEL | ConfigDict(json_schema_extra=_ONE_OR_SEVERAL)

    workflow_id: WorkflowId
    triggers: Annotated[
        tuple[Annotated[Trigger | ForeignTrigger, Field(union_mode="left_to_right")], ...] | None,
        Field(
            min_length=1,
            max_length=MAX_TRIGGERS,
            description="Several triggers, instead of `trigger`: it runs at the instants of each.",
        ),
    ] = None
    trigger: Annotated[
        Trigger | ForeignTrigger | None,
        Field(
            union_mode="left_to_right",
            validate_default=True,
            description="When it runs: by hand, periodically, at times of a calendar, or once. "
            "Each may be triggered by hand as well. Required, unless there are `triggers`.",
        ),
    ] = None
    actions: Annotated[
        tuple[SerializeAsAny[ActionDefinition], ...],
        Field(
            min_length=1,
            max_length=MAX_ACTIONS,
            description="What it does; there are several types of action.",
        ),
    ]
    retry: Annotated[
        RetryPolicy, Field(description="For every action that has no policy of its own.")
    ] = RetryPolicy()
    concurrency: Annotated[
        int,
        Field(
            ge=1,
            le=100,
            strict=True,
            exclude_if=lambda value: value == DEFAULT_CONCURRENCY,
            description="How many actions and items of one execution run at a time.",
        ),
    ] = DEFAULT_CONCURRENCY
    timeout: Annotated[
        Timeout | None,
        Field(
            description="How long an execution may take, from its creation, or from its turn if "
            "it had to wait for that, to its end."
        ),
    ] = None
    input_schema: Annotated[
        dict[str, JsonValue] | None,
        Field(description="A JSON Schema (2020-12) that the input of every trigger must meet."),
    ] = None
    pause_on_failure: Annotated[
        int | None,
        Field(
            ge=1,
            le=100,
            strict=True,
            description="The workflow is paused when so many executions of its schedule have "
            "failed one after the other, since it was last resumed.",
        ),
    ] = None
    overlap: OverlapField = Overlap.SKIP
    max_concurrent: MaxConcurrent = None
    max_buffered: MaxBuffered = None

    @field_validator("triggers", mode="after")
    @classmethod
    def _name_triggers(
        cls, triggers: tuple[AnyTrigger, ...] | None
    ) -> tuple[AnyTrigger, ...] | None:
        return None if triggers is None else identified(triggers)

    @field_validator("trigger", mode="after")
    @classmethod
    def _either(cls, trigger: AnyTrigger | None, info: ValidationInfo) -> AnyTrigger | None:
        if "triggers" not in info.data:
            return trigger
        several = info.data["triggers"] is not None
        if trigger is None and not several:
            raise ValueError("is required; or 'triggers', a list of 1 to 10 of them")
        if trigger is not None and several:
            raise ValueError("must be left out where there are 'triggers'; move it into the list")
        return trigger

    @field_validator("actions", mode="after")
    @classmethod
    def _connect_actions(
        cls, actions: tuple[ActionDefinition, ...]
    ) -> tuple[ActionDefinition, ...]:
        if _is_plain_chain(actions):
            return actions
        named = tuple(_named(actions))
        _check_ids(named)
        if any(action.needs is not None for action in named):
            check_graph({action.key: action.needs or () for action in named})
        return named

    @property
    def all_triggers(self) -> Mapping[str, AnyTrigger]:
        """Its triggers by their ids, in their order, whether there is one or several."""
        several = self.triggers if self.trigger is None else (self.trigger,)
        return {trigger_id(trigger): trigger for trigger in several or ()}

    @field_validator("max_concurrent", "max_buffered", mode="after")
    @classmethod
    def _fits_overlap(cls, value: int | None, info: ValidationInfo) -> int | None:
        if "overlap" not in info.data:
            # It is wrong itself, which is said already.
            return value
        check = check_buffered if info.field_name == "max_buffered" else check_concurrent
        return check(info.data["overlap"], value)

    @property
    def overlap_policy(self) -> OverlapPolicy:
        """How many executions may run at a time, and what becomes of one more."""
        return policy_of(self.overlap, self.max_concurrent, self.max_buffered)

    def retry_policy(self, action: ActionDefinition) -> RetryPolicy:
        """Return the policy that governs an action: its own, else the workflow's."""
        return action.retry or self.retry


def _is_plain_chain(actions: tuple[ActionDefinition, ...]) -> bool:
    """Tell whether all is said already: a stored definition is read once per execution."""
    if any(a.id is None or a.needs is not None or a.compensate for a in actions):
        return False
    return len({action.id for action in actions}) == len(actions)


def _named(actions: Iterable[ActionDefinition], prefix: str = "") -> Iterator[ActionDefinition]:
    """Give each action, and each compensation, an id of its own if it has none."""
    for position, action in enumerate(actions, start=1):
        key = action.id or f"{prefix}{action.type}-{position}"[:64]
        changes: dict[str, object] = {} if action.id else {"id": key}
        if action.compensate:
            undoing = tuple(_named(action.compensate, f"{key}-undo-"[:50]))
            if undoing != action.compensate:
                changes["compensate"] = undoing
        yield action.model_copy(update=changes) if changes else action


def _check_ids(actions: tuple[ActionDefinition, ...]) -> None:
    keys = [action.key for action in actions]
    keys += [undoing.key for action in actions for undoing in action.compensate]
    if len(set(keys)) < len(keys):
        twice = sorted(key for key, count in Counter(keys).items() if count > 1)
        raise ValueError(f"must have different ids; used more than once: {', '.join(twice)}")
