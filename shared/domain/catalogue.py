"""The types of action that exist, and reading a definition against them."""

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import ConfigDict, Field, JsonValue, ValidationError, create_model
from pydantic_core import from_json

from shared.domain.definition import ActionDefinition, WorkflowDefinition
from shared.domain.errors import FieldProblem, InvalidInput, Misconfigured
from shared.domain.problems import describe
from shared.domain.storable import check_storable


class ActionCatalogue:
    """The known action types, each with the model of its parameters.

    Raises Misconfigured when two models claim one type, or a model names none.
    """

    def __init__(self, models: Iterable[type[ActionDefinition]]) -> None:
        self._models: dict[str, type[ActionDefinition]] = {}
        for model in models:
            self._register(model)
        self.model = _definition_model(tuple(self._models.values()))

    def _register(self, model: type[ActionDefinition]) -> None:
        name = action_type(model)
        if name in self._models:
            raise Misconfigured(
                f"Two actions are registered as '{name}': {self._models[name].__qualname__} and "
                f"{model.__qualname__}. Remove one of the packages that provide them."
            )
        self._models[name] = model

    @property
    def types(self) -> tuple[str, ...]:
        """The names of the known action types."""
        return tuple(self._models)

    def parse(self, document: JsonValue) -> WorkflowDefinition:
        """Return the definition that a user's JSON means, normalised.

        Raises InvalidInput naming every wrong field by its JSON pointer.
        """
        if not isinstance(document, dict):
            raise InvalidInput([FieldProblem("", "must be a JSON object")])
        check_storable(document)
        try:
            return self.model.model_validate(document)
        except ValidationError as error:
            raise InvalidInput(describe(error, document)) from error

    def restore(self, document: Mapping[str, JsonValue]) -> WorkflowDefinition:
        """Return a definition that was stored in its normalised form.

        An action of a type that is not known here is kept as a `ForeignAction`:
        the package that brings it may be installed elsewhere.
        """
        try:
            return self.model.model_validate(document)
        except ValidationError:
            return WorkflowDefinition.model_validate(
                {**document, "actions": tuple(map(self._restore_action, _items(document)))}
            )

    def restore_text(self, text: str) -> WorkflowDefinition:
        """Return a definition that was stored as `definition_text`."""
        try:
            return self.model.model_validate_json(text)
        except ValidationError:
            return self.restore(from_json(text))

    def _restore_action(self, action: Mapping[str, JsonValue]) -> ActionDefinition:
        return self._models.get(str(action["type"]), ForeignAction).model_validate(action)

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON Schema (2020-12) of a definition."""
        schema = self.model.model_json_schema()
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


class ForeignAction(ActionDefinition):
    """An action of a type that this process does not know; it can be read but not run."""

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


def _items(document: Mapping[str, JsonValue]) -> list[dict[str, JsonValue]]:
    actions = document["actions"]
    if not isinstance(actions, list):
        raise TypeError("a stored definition has a list of actions")
    return [action for action in actions if isinstance(action, dict)]


def _definition_model(models: tuple[type[ActionDefinition], ...]) -> type[WorkflowDefinition]:
    union: Any = reduce(or_, models)
    if len(models) > 1:
        union = Annotated[union, Field(discriminator="type")]
    field = WorkflowDefinition.model_fields["actions"]
    return create_model(
        "WorkflowDefinition",
        __base__=WorkflowDefinition,
        __doc__="A workflow: when it runs and what it does. Actions run one after the other.",
        actions=(Annotated[tuple[union, ...], *field.metadata], ...),
    )
