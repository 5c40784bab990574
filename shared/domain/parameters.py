"""The JSON Schema of an action's own parameters, without what every action has."""

from collections.abc import Iterator
from typing import Any, Final

from pydantic.alias_generators import to_camel

from shared.domain.catalogue import ActionSpec
from shared.domain.definition import ActionDefinition
from shared.domain.durations import DefinitionSchema

_ENVELOPE: Final = frozenset(map(to_camel, ActionDefinition.model_fields))
_REFERENCE: Final = "#/$defs/"


def parameters_schema(spec: ActionSpec) -> dict[str, Any]:
    """Return the schema of the parameters; an expression may stand in the place of a value."""
    schema = spec.params.model_json_schema(schema_generator=DefinitionSchema)
    properties = schema.get("properties", {})
    parameters = {
        "type": "object",
        "properties": {k: v for k, v in properties.items() if k not in _ENVELOPE},
        "required": [name for name in schema.get("required", []) if name not in _ENVELOPE],
        "additionalProperties": schema.get("additionalProperties", False),
    }
    definitions = schema.get("$defs", {})
    used = _used(parameters, definitions, frozenset())
    if used:
        parameters["$defs"] = {name: definitions[name] for name in definitions if name in used}
    return parameters


def _used(node: Any, definitions: dict[str, Any], known: frozenset[str]) -> frozenset[str]:
    """Return the names of the definitions that a part of a schema refers to, however far."""
    for name in set(_references(node)) - known:
        known = _used(definitions[name], definitions, known | {name})
    return known


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        reference = node.get("$ref")
        if isinstance(reference, str) and reference.startswith(_REFERENCE):
            yield reference.removeprefix(_REFERENCE)
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)
