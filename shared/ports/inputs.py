"""What the core needs to hold an execution's input against the schema of its definition."""

from collections.abc import Mapping
from typing import Protocol

from pydantic import JsonValue

Schema = Mapping[str, JsonValue]


class InputValidator(Protocol):
    """Knows JSON Schema, draft 2020-12. It reads nothing but what it is given."""

    def check_schema(self, schema: Schema, pointer: str) -> None:
        """Raise InvalidInput for what is no schema, naming places below `pointer`.

        A schema may refer to itself and to the parts it has, but to no other document.
        """
        ...

    def check_input(self, schema: Schema, given: JsonValue, pointer: str) -> None:
        """Raise InvalidInput for what does not meet the schema, naming places below `pointer`."""
        ...
