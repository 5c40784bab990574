"""Turn pydantic's findings into sentences that name the field and say what would be right."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pydantic import JsonValue
from pydantic_core import ErrorDetails

from shared.domain.errors import FieldProblem
from shared.domain.instants import WITH_OFFSET
from shared.domain.misspelt import unknown_field
from shared.domain.shapes import Step, fields_of, steps
from shared.domain.storable import escape

_SENTENCES: Final = {
    "missing": "is required",
    "union_tag_invalid": "is '{tag}'; it must be one of {expected_tags}",
    "union_tag_not_found": "is required",
    "literal_error": "must be one of {expected}",
    "enum": "must be one of {expected}",
    "string_type": "must be a string",
    "string_too_short": "must have at least {min_length} character(s)",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "finite_number": "must be a finite number",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must have at least {min_length} item(s)",
    "too_long": "must have at most {max_length} items",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "timezone_aware": f"must be {WITH_OFFSET}",
    "datetime_type": f"must be {WITH_OFFSET}",
    "datetime_parsing": f"must be {WITH_OFFSET}",
    "datetime_from_date_parsing": f"must be {WITH_OFFSET}",
    "datetime_object_invalid": f"must be {WITH_OFFSET}",
    "int_parsing_size": "must be a whole number, and not such a large one",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "value_error": "{error}",
}
_TAG_ERRORS: Final = {"union_tag_invalid", "union_tag_not_found"}


def describe(
    details: Iterable[ErrorDetails], document: JsonValue, shape: Any
) -> list[FieldProblem]:
    """Return one problem per finding, with JSON pointers into the `document` that was refused.

    `shape` is what refused it: a model, or the annotation of a field.
    """
    return [_problem(detail, document, shape) for detail in details if not is_echo(detail)]


def _problem(detail: ErrorDetails, document: JsonValue, shape: Any) -> FieldProblem:
    way = tuple(steps(detail["loc"], shape))
    places = tuple(_places(way, document))
    segments = [segment for segment, _ in places]
    if detail["type"] in _TAG_ERRORS:
        segments.append("type")
    pointer = "".join(f"/{escape(str(segment))}" for segment in segments)
    if detail["type"] == "extra_forbidden" and places:
        return FieldProblem(pointer, _unknown(way[-1], places[-1][1]))
    return FieldProblem(pointer, sentence(detail))


def sentence(detail: ErrorDetails) -> str:
    """Return what is wrong with the value of a finding, as a sentence without its subject."""
    context: Mapping[str, Any] = detail.get("ctx", {})
    known = _SENTENCES.get(detail["type"])
    return known.format(**context) if known else detail["msg"]


def _unknown(step: Step, around: JsonValue) -> str:
    known = tuple(fields_of(step.model)) if step.model else ()
    return unknown_field(str(step.segment), known, around if isinstance(around, dict) else ())


def is_echo(detail: ErrorDetails) -> bool:
    """A list is also reported as too short when its items were refused one by one."""
    given = detail["input"]
    return detail["type"] == "too_short" and isinstance(given, list) and bool(given)


def _places(way: Iterable[Step], document: JsonValue) -> Iterator[tuple[int | str, JsonValue]]:
    """Follow a location into the document: yield each key, with what it is a key of.

    Left out is what pydantic calls the members of a union: they are in no document.
    """
    keys = [step.segment for step in way if not step.is_tag]
    here = document
    for depth, segment in enumerate(keys):
        there = here
        if isinstance(here, dict) and segment in here:
            here = here[str(segment)]
            yield segment, there
        elif isinstance(here, list) and isinstance(segment, int):
            here = here[segment]
            yield segment, there
        elif depth == len(keys) - 1 and isinstance(here, dict):
            yield segment, there
