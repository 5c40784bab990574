"""JSON Schema by the library `jsonschema`, cut off from the network.

Without a registry of its own the library fetches what a `$ref` names, so a definition
could make this service send requests. Here only the published meta-schemas are known.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import ValidationError  # type: ignore[import-untyped]
from pydantic import JsonValue
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from shared.adapters.json_schema.patterns import (
    LinearValidator,
    Unmatchable,
    compiled,
    limited,
)
from shared.domain.errors import FieldProblem, InvalidInput
from shared.domain.storable import escape
from shared.ports.inputs import Schema

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_NOTHING_ELSE: Final[Registry[Any]] = Registry()
_META: Final = Draft202012Validator(Draft202012Validator.META_SCHEMA, registry=_NOTHING_ELSE)
_MOST: Final = 50
"""How many problems are named; an input of thousands of items can have as many."""

_LONGEST: Final = 300
_NAMES: Final = frozenset(
    {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
)
"""Keywords whose members have names of the author's choice, each with a schema."""

_DATA: Final = frozenset({"const", "enum", "default", "examples"})
"""Keywords whose values are no schemas, whatever they look like."""

_Place = tuple[Mapping[str, Any], str, Any]


class JsonSchemaValidator:
    """The InputValidator of production."""

    def check_schema(self, schema: Schema, pointer: str) -> None:
        """See InputValidator.check_schema."""
        problems = list(_problems(_META.iter_errors(schema), pointer))
        if not problems:
            resource = DRAFT202012.create_resource(schema)
            resolver = _NOTHING_ELSE.resolver_with_root(resource)
            for place in _schemas(schema, pointer, resolver):
                problems += _problems_of_references(place)
                problems += _problems_of_patterns(place)
        if problems:
            raise InvalidInput(problems)

    def check_input(self, schema: Schema, given: JsonValue, pointer: str) -> None:
        """See InputValidator.check_input."""
        validator = LinearValidator(schema, registry=_NOTHING_ELSE)
        try:
            with limited():
                problems = list(_problems(validator.iter_errors(given), pointer))
        except RecursionError as error:
            said = "cannot be checked: the schema refers to itself without end"
            raise InvalidInput([FieldProblem(pointer, said)]) from error
        except Unmatchable as error:
            said = f"cannot be checked: a pattern of the schema {error}"
            raise InvalidInput([FieldProblem(pointer, said[:_LONGEST])]) from error
        if problems:
            raise InvalidInput(problems)


def _problems(errors: Iterable[ValidationError], pointer: str) -> Iterator[FieldProblem]:
    for error in islice(errors, _MOST):
        path = "".join(f"/{escape(str(segment))}" for segment in error.absolute_path)
        said: str = error.message
        yield FieldProblem(
            f"{pointer}{path}", said if len(said) <= _LONGEST else f"{said[: _LONGEST - 1]}…"
        )


def _schemas(schema: Any, pointer: str, resolver: Any) -> Iterator[_Place]:
    """Yield a schema and all within it, each with its place and what resolves its references."""
    if isinstance(schema, list):
        for position, item in enumerate(schema):
            yield from _schemas(item, f"{pointer}/{position}", resolver)
    if not isinstance(schema, dict):
        return
    if "$id" in schema:
        resolver = resolver.in_subresource(DRAFT202012.create_resource(schema))
    yield schema, pointer, resolver
    for keyword, value in schema.items():
        below = f"{pointer}/{escape(keyword)}"
        if keyword in _NAMES:
            for name, part in value.items():
                yield from _schemas(part, f"{below}/{escape(name)}", resolver)
        elif keyword not in _DATA:
            yield from _schemas(value, below, resolver)


def _problems_of_references(place: _Place) -> Iterator[FieldProblem]:
    schema, pointer, resolver = place
    if schema.get("$schema", DIALECT).rstrip("#") != DIALECT:
        yield FieldProblem(f"{pointer}/$schema", f"must be '{DIALECT}'")
    for keyword in ("$ref", "$dynamicRef"):
        if keyword in schema and not _leads_to_schema(schema[keyword], resolver):
            said = f"is '{schema[keyword]}'; it must lead to a schema within this one"
            yield FieldProblem(f"{pointer}/{keyword}", said)


def _problems_of_patterns(place: _Place) -> Iterator[FieldProblem]:
    schema, pointer, _ = place
    found = [("pattern", schema["pattern"])] if "pattern" in schema else []
    found += [("patternProperties", pattern) for pattern in schema.get("patternProperties", ())]
    for keyword, pattern in found:
        try:
            compiled(pattern)
        except Unmatchable as error:
            yield FieldProblem(f"{pointer}/{keyword}", str(error)[:_LONGEST])


def _leads_to_schema(reference: str, resolver: Any) -> bool:
    try:
        found = resolver.lookup(reference).contents
    except Unresolvable:
        return False
    valid: bool = _META.is_valid(found)
    return valid
