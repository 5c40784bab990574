"""What a pydantic model says of each of its fields, in words for a table."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from shared.domain.durations import format_duration

Schema = dict[str, Any]
_SECTIONS: Final = {
    "RetryPolicy": "retry",
    "Backoff": "backoff",
    "ForEach": "foreach",
    "HttpTimeouts": "timeouts",
    "ManualTrigger": "trigger-manual",
    "PeriodicTrigger": "trigger-periodic",
    "CronTrigger": "trigger-cron",
    "OnceTrigger": "trigger-once",
}
"""The models with a section of their own."""

_BY_PATTERN: Final = {
    "^[0-9]{1,11}[smhd]$": "interval",
    "^[0-9]{1,14}(ms|s|m|h|d)$": "duration",
    r"^\$\{[\s\S]+\}$": "expression",
}
_BY_FORMAT: Final = {"date-time": "instant", "date": "date"}
_UNITS: Final = {"array": "items", "object": "members"}
_COUNTED: Final = ("Length", "Items", "Properties")


@dataclass(frozen=True, slots=True)
class Field:
    """One field as a definition has it: `attribute` is its name in the model."""

    attribute: str
    name: str
    kind: str
    default: str
    limits: str
    description: str


def fields_of(model: type[BaseModel]) -> Iterator[Field]:
    """Yield the fields of a model in their order."""
    schema = model.model_json_schema()
    if "$ref" in schema:  # of a model that contains itself
        schema |= schema["$defs"][schema["$ref"].rpartition("/")[2]]
    definitions = schema.get("$defs", {})
    for attribute, info in model.model_fields.items():
        name = info.alias or attribute
        node = schema["properties"][name]
        plain = _without_null(node)
        yield Field(
            attribute=attribute,
            name=name,
            kind=_kind(plain, definitions),
            default=_default(info),
            limits=", ".join(_limits(plain)),
            description=str(node.get("description") or plain.get("description") or ""),
        )


def _without_null(node: Schema) -> Schema:
    options = [option for option in node.get("anyOf", ()) if option != {"type": "null"}]
    return {**options[0], **_described(node)} if len(options) == 1 else node


def _described(node: Schema) -> Schema:
    return {"description": node["description"]} if "description" in node else {}


def _kind(node: Schema, definitions: Schema) -> str:
    if "$ref" in node:
        return _referred(node["$ref"].rpartition("/")[2], definitions)
    options = node.get("anyOf") or node.get("oneOf")
    if options:
        return _either([_kind(o, definitions) for o in options if o != {"type": "null"}])
    if "enum" in node or "const" in node:
        return ", ".join(f"`{value}`" for value in node.get("enum", [node.get("const")]))
    if node.get("type") == "array":
        return f"list of {_many(_kind(node['items'], definitions))}"
    if node.get("type") == "object":
        return _object(node.get("additionalProperties"), definitions)
    return _scalar(node)


def _scalar(node: Schema) -> str:
    name = node.get("type", "any JSON")
    if name == "string":
        plain = _BY_FORMAT.get(node.get("format", ""), "text")
        return _BY_PATTERN.get(node.get("pattern", ""), plain)
    return "whole number" if name == "integer" else str(name)


def _either(kinds: list[str]) -> str:
    """Join alternatives; a whole number is a number, and a list may be of all the others."""
    plain = [k for k in kinds if not (k == "whole number" and "number" in kinds)]
    listed = f"list of {_many(_either(plain[:-1]))}" if len(plain) > 1 else ""
    if plain[-1] == listed and len(plain) > 2:
        plain[-1] = "list of these"
    return " or ".join(dict.fromkeys(plain))


def _referred(name: str, definitions: Schema) -> str:
    if name in _SECTIONS:
        section = _SECTIONS[name]
        return f"[{section.removeprefix('trigger-').replace('foreach', 'forEach')}](#{section})"
    if name == "ActionDefinition":
        return "[action](#every-action)"
    return _kind({k: v for k, v in definitions[name].items() if k != "title"}, definitions)


def _many(kind: str) -> str:
    return {
        "text": "texts",
        "date": "dates",
        "[action](#every-action)": "[actions](#every-action)",
    }.get(kind, f"{kind}s" if kind == "object" else kind)


def _object(values: Any, definitions: Schema) -> str:
    if not isinstance(values, dict):
        return "object"
    kind = _kind(values, definitions)
    return "object" if kind == "any JSON" else f"object of {_many(kind)}"


def _limits(node: Schema) -> Iterator[str]:
    if "minimum" in node:
        yield f"{node['minimum']} to {node['maximum']}"
    unit = _UNITS.get(node.get("type", ""), "characters")
    least = next((node[f"min{of}"] for of in _COUNTED if f"min{of}" in node), None)
    most = next((node[f"max{of}"] for of in _COUNTED if f"max{of}" in node), None)
    if most is not None and node.get("pattern") not in _BY_PATTERN:
        yield f"{least} to {most:,} {unit}" if least else f"at most {most:,} {unit}"
    elif least is not None:
        yield f"at least {least} {unit}".replace(" 1 members", " 1 member")
    if node.get("pattern", "") not in {"", *_BY_PATTERN}:
        yield f"`{node['pattern']}`"


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    value: Any = info.get_default(call_default_factory=True, validated_data={})
    match value:
        case None | ():
            return "none"
        case timedelta():
            return f"`{format_duration(value)}`"
        case StrEnum():
            return f"`{value.value}`"
        case BaseModel():
            return "see there"
        case _:
            return f"`{value}`"
