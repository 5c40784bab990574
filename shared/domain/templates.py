"""STUB."""

from collections.abc import Callable

from pydantic import JsonValue


def has_expressions(value: JsonValue) -> bool:
    return "${" in str(value)


def render(value: JsonValue, evaluate: Callable[[str], JsonValue]) -> JsonValue:
    if isinstance(value, str) and value.startswith("${"):
        return evaluate(value[2:-1])
    if isinstance(value, dict):
        return {k: render(v, evaluate) for k, v in value.items()}
    return value
