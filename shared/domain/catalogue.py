"""The types of action that exist, and reading a definition against them."""

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import reduce
from operator import or_
from typing import Annotated, Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, create_model
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, from_json

from shared.domain.definition import ActionDefinition, WorkflowDefinition
from shared.domain.durations import DefinitionSchema
from shared.domain.errors import FieldProblem, InvalidInput, Misconfigured
from shared.domain.problems import describe, is_echo
from shared.domain.retry import RetryPolicy
from shared.domain.storable import check_storable
from shared.domain.templates import has_expressions
from shared.domain.triggers import Trigger


class Effect(StrEnum):
    """What calling an action once more does: nothing to the world, the same again, or harm."""

    PURE = "pure"
    IDEMPOTENT = "idempotent"
    AT_MOST_ONCE = "at-most-once"


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """What is known of a type of action without being able to run it."""

    params: type[ActionDefinition]
    effect: Effect = Effect.IDEMPOTENT
    retry: RetryPolicy | None = None
    timeout: timedelta | None = None

    @property
    def name(self) -> str:
        """The name that definitions give in `type`."""
        return action_type(self.params)

    @property
    def summary(self) -> str:
        """The first line of what its author says about it."""
        return (self.params.__doc__ or "").strip().partition("\n")[0]


_ENVELOPE: Final = frozenset(ActionDefinition.model_fields)
"""The fields that every action has; the others are its parameters."""

_NO_PARAMETERS: Final = frozenset(map(to_camel, _ENVELOPE - {"compensate"}))
_EXPRESSION: Final = {
    "type": "string",
    "pattern": r"\$\{",
    "description": "Text with expressions, such as '${ input.amount }'.",
}
_STRUCTURAL: Final = frozenset({"missing", "extra_forbidden", "union_tag_invalid"})
"""Findings that no value of an expression could mend."""


class ActionCatalogue:
    """The known action types, each with the model of its parameters.

    Raises Misconfigured when two models claim one type, or a model names none.
    """

    def __init__(self, specs: Iterable[ActionSpec]) -> None:
        self._specs: dict[str, ActionSpec] = {}
        for spec in specs:
            self._register(spec)
        self._models = {name: _with_undoing(s, self._specs) for name, s in self._specs.items()}
        self.model = _definition_model(tuple(self._models.values()))

    def _register(self, spec: ActionSpec) -> None:
        there = self._specs.get(spec.name)
        if there is not None:
            raise Misconfigured(
                f"Two actions are registered as '{spec.name}': {_place(there)} and "
                f"{_place(spec)}. Remove one of the packages that provide them."
            )
        self._specs[spec.name] = spec

    @property
    def specs(self) -> tuple[ActionSpec, ...]:
        """What is known of each type of action."""
        return tuple(self._specs.values())

    @property
    def types(self) -> tuple[str, ...]:
        """The names of the known action types."""
        return tuple(self._specs)

    def effect(self, name: str) -> Effect:
        """Return what repeating an action does; of an unknown one, the worst is assumed."""
        spec = self._specs.get(name)
        return spec.effect if spec else Effect.AT_MOST_ONCE

    def timeout(self, action: ActionDefinition) -> timedelta | None:
        """Return how long an attempt may take: what the action says, else what its type says."""
        if action.timeout is not None:
            return action.timeout
        spec = self._specs.get(action.type)
        return spec.timeout if spec else None

    def parse(self, document: JsonValue) -> WorkflowDefinition:
        """Return the definition that a user's JSON means, normalised.

        A parameter that is an expression is checked when its value is known.
        Raises InvalidInput naming every wrong field by its JSON pointer.
        """
        if not isinstance(document, dict):
            raise InvalidInput([FieldProblem("", "must be a JSON object")])
        check_storable(document)
        document = self._with_defaults(document)
        try:
            return self.model.model_validate(document)
        except ValidationError as error:
            found = error.errors(include_url=False)
            wrong = [d for d in found if not (_awaits(d) or is_echo(d))]
            if wrong:
                raise InvalidInput(describe(wrong, document, self.model)) from error
        return self._restore(document)

    def restore(self, document: Mapping[str, JsonValue]) -> WorkflowDefinition:
        """Return a definition that was stored in its normalised form.

        An action of a type that is not known here is kept as a `ForeignAction`:
        the package that brings it may be installed elsewhere.
        """
        try:
            return self.model.model_validate(document)
        except ValidationError:
            return self._restore(document)

    def restore_text(self, text: str) -> WorkflowDefinition:
        """Return a definition that was stored as `definition_text`."""
        try:
            return self.model.model_validate_json(text)
        except ValidationError:
            return self._restore(from_json(text))

    def bind(self, action: ActionDefinition, parameters: Mapping[str, JsonValue]) -> Any:
        """Return an action's parameters with values in the place of expressions.

        Raises InvalidInput naming what is wrong with a value, KeyError for an unknown type.
        """
        document = {**parameters, "id": action.key, "type": action.type}
        model = self._specs[action.type].params
        try:
            return model.model_validate(document)
        except ValidationError as error:
            wrong = error.errors(include_url=False)
            raise InvalidInput(describe(wrong, document, model)) from error

    def _with_defaults(self, document: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """Write down the retry policy that a type of action brings, where nothing else is said."""
        actions = document.get("actions")
        brought = {s.name: s.retry for s in self._specs.values() if s.retry is not None}
        if "retry" in document or not brought or not isinstance(actions, list):
            return document
        return {**document, "actions": [_with_retry(action, brought) for action in actions]}

    def _restore(self, document: Mapping[str, JsonValue]) -> WorkflowDefinition:
        """Read part by part: triggers and actions that cannot be read now are kept as they are."""
        actions = tuple(map(self._restore_action, _items(document, "actions")))
        return WorkflowDefinition.model_validate({**document, "actions": actions})

    def _restore_action(self, action: Mapping[str, JsonValue]) -> ActionDefinition:
        model = self._models.get(str(action["type"]), ForeignAction)
        try:
            return model.model_validate(action)
        except ValidationError:
            undoing = tuple(map(self._restore_action, _items(action, "compensate")))
            plain = {**action, "compensate": undoing} if undoing else action
            return ForeignAction.model_validate(plain)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema (2020-12) of a definition."""
        schema = self.model.model_json_schema(schema_generator=DefinitionSchema)
        for spec in self._specs.values():
            for suffix in ("", "WithCompensation"):
                _allow_expressions(schema["$defs"].get(f"{spec.params.__name__}{suffix}", {}))
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


class ForeignAction(ActionDefinition):
    """An action whose parameters cannot be read yet.

    Its type is not known to this process, or expressions stand where values will be.
    """

    model_config = ConfigDict(extra="allow")


def normalised(definition: WorkflowDefinition) -> dict[str, JsonValue]:
    """Return the one JSON form of a definition: canonical durations, defaults filled in."""
    document: dict[str, JsonValue] = definition.model_dump(
        mode="json", by_alias=True, exclude_none=True
    )
    return document


def definition_text(definition: WorkflowDefinition) -> str:
    """Return the normalised form as JSON text; equal definitions have equal texts."""
    return definition.model_dump_json(by_alias=True, exclude_none=True)


def action_type(model: type[ActionDefinition]) -> str:
    """Return the name that a parameter model's `type: Literal[...]` gives."""
    annotation = model.model_fields["type"].annotation
    if get_origin(annotation) is not Literal:
        raise Misconfigured(f"{model.__qualname__} must declare `type: Literal['its-name']`.")
    name = get_args(annotation)[0]
    if not isinstance(name, str):
        raise Misconfigured(f"{model.__qualname__} must name its type with a string.")
    return name


def parameters(action: ActionDefinition) -> dict[str, JsonValue]:
    """Return the parameters of an action as JSON, without what every action has."""
    document = action.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude=set(_ENVELOPE)
    )
    return {str(key): value for key, value in document.items()}


def is_templated(action: ActionDefinition) -> bool:
    """Tell, quickly, whether an expression stands in a parameter of an action."""
    for name, value in action.__dict__.items():
        if name not in _ENVELOPE and _mentions(value):
            return has_expressions(parameters(action))
    return bool(action.model_extra) and has_expressions(parameters(action))


def _allow_expressions(schema: dict[str, Any]) -> None:
    """Let every parameter of an action be an expression instead of what it has to be."""
    properties = schema.get("properties", {})
    for name in properties.keys() - _NO_PARAMETERS - {"compensate"}:
        plain = properties[name]
        told = {key: plain.pop(key) for key in ("description", "default") if key in plain}
        properties[name] = {**told, "anyOf": [plain, _EXPRESSION]}


def _place(spec: ActionSpec) -> str:
    return f"{spec.params.__module__}.{spec.params.__qualname__}"


def _mentions(value: object) -> bool:
    """Tell whether a value may hold an expression; the ordinary one does not."""
    if isinstance(value, str):
        return "${" in value
    return isinstance(value, dict | list | BaseModel) and "${" in str(value)


def _awaits(detail: ErrorDetails) -> bool:
    """Tell whether a finding is about an expression, whose value is not known yet."""
    given = detail["input"]
    return (
        detail["type"] not in _STRUCTURAL
        and isinstance(given, str)
        and detail["loc"][:1] == ("actions",)
        and not _NO_PARAMETERS.intersection(detail["loc"][2:])
        and has_expressions(given)
    )


def _with_retry(action: JsonValue, brought: Mapping[str, RetryPolicy]) -> JsonValue:
    if not isinstance(action, dict) or "retry" in action:
        return action
    policy = brought.get(str(action.get("type")))
    if policy is None:
        return action
    return {**action, "retry": policy.model_dump(mode="json", by_alias=True)}


def _items(document: Mapping[str, JsonValue], name: str) -> Iterator[dict[str, JsonValue]]:
    actions = document.get(name, [])
    if not isinstance(actions, list):
        raise TypeError(f"a stored definition has a list of {name}")
    return (action for action in actions if isinstance(action, dict))


def _many(models: Iterable[type[ActionDefinition]]) -> Any:
    """Return the type of a list of actions, each of one of these types."""
    known = tuple(models)
    union: Any = reduce(or_, known)
    if len(known) > 1:
        union = Annotated[union, Field(discriminator="type")]
    return tuple.__class_getitem__((union, ...))


def _with_undoing(spec: ActionSpec, specs: Mapping[str, ActionSpec]) -> type[ActionDefinition]:
    """Return the model of an action whose compensations are of known types too."""
    undoing: Any = (_many(s.params for s in specs.values()), _field(ActionDefinition, "compensate"))
    return create_model(
        f"{spec.params.__name__}WithCompensation",
        __base__=spec.params,
        __doc__=spec.params.__doc__,
        compensate=undoing,
    )


def _definition_model(models: tuple[type[ActionDefinition], ...]) -> type[WorkflowDefinition]:
    actions: Any = (_many(models), _field(WorkflowDefinition, "actions"))
    triggers: Any = (tuple[Trigger, ...] | None, _field(WorkflowDefinition, "triggers"))
    said = WorkflowDefinition.model_fields["trigger"].description
    trigger: Any = Annotated[Trigger | None, Field(validate_default=True, description=said)]
    return create_model(
        "WorkflowDefinition",
        __base__=WorkflowDefinition,
        __doc__="A workflow: when it runs and what it does.",
        triggers=triggers,
        trigger=(trigger, None),
        actions=actions,
    )


def _field(model: type[BaseModel], name: str) -> FieldInfo:
    return copy(model.model_fields[name])
