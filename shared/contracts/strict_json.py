"""JSON as RFC 8259 has it: no NaN, and no member twice, of which most readers keep one silently."""

import json
from typing import Any, NoReturn

from pydantic import JsonValue


def parse_json(text: str | bytes) -> JsonValue:
    """Return what JSON text says.

    Raises ValueError for what is no JSON, RecursionError for what is nested too deeply.
    """
    parsed: JsonValue = json.loads(
        text, parse_constant=_no_constant, object_pairs_hook=_unique_members
    )
    return parsed


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise ValueError(f"the member '{name}' is there twice")
        members[name] = value
    return members
