"""Input schemas: what is one, what they refuse, and that nothing is fetched for them."""

import socket
from typing import Any

import pytest

from shared.adapters.json_schema.validator import DIALECT, JsonSchemaValidator
from shared.domain.errors import InvalidInput

CHECKS = JsonSchemaValidator()
ORDER: dict[str, Any] = {
    "$schema": DIALECT,
    "type": "object",
    "properties": {
        "orderId": {"type": "integer", "minimum": 1},
        "items": {"type": "array", "items": {"$ref": "#/$defs/item"}},
    },
    "required": ["orderId"],
    "additionalProperties": False,
    "$defs": {"item": {"type": "object", "properties": {"a/b": {"type": "string"}}}},
}
TREE: dict[str, Any] = {
    "$id": "https://example.com/tree",
    "type": "object",
    "properties": {
        "children": {"type": "array", "items": {"$ref": "tree"}},
        "const": {"$ref": "#node"},
    },
    "$defs": {"node": {"$anchor": "node", "type": "string"}},
    "default": {"$ref": "https://example.com/data-is-no-reference"},
}


CATASTROPHE = "(a+)+$"
"""Takes an engine that backtracks ages over many letters and something else."""


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("something was to be fetched")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def pointers(refused: pytest.ExceptionInfo[InvalidInput]) -> list[str]:
    return [problem.pointer for problem in refused.value.problems]


@pytest.mark.parametrize("schema", [{}, ORDER, TREE])
def test_a_schema_is_accepted(schema: Any) -> None:
    CHECKS.check_schema(schema, "/inputSchema")


@pytest.mark.parametrize(
    ("schema", "pointer"),
    [
        ({"type": "text"}, "/type"),
        ({"properties": {"a/b": {"minimum": "1"}}}, "/properties/a~1b/minimum"),
        ({"required": "orderId"}, "/required"),
        ({"properties": []}, "/properties"),
        ({"pattern": "("}, "/pattern"),
        ({"patternProperties": {"[": {}}}, "/patternProperties"),
        ({"items": {"pattern": "(?=a)a"}}, "/items/pattern"),
        ({"pattern": r"(a)\1"}, "/pattern"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "/$schema"),
        ({"items": {"$schema": "https://example.com/own"}}, "/items/$schema"),
        ({"$ref": "https://example.com/other"}, "/$ref"),
        ({"$ref": "file:///etc/passwd"}, "/$ref"),
        ({"allOf": [{}, {"$ref": "#/$defs/none"}]}, "/allOf/1/$ref"),
        ({"properties": {"default": {"$ref": "#none"}}}, "/properties/default/$ref"),
        ({"title": "text", "$ref": "#/title"}, "/$ref"),
        ({"not": {"$dynamicRef": "https://example.com/other"}}, "/not/$dynamicRef"),
        ({"properties": {"type": {}}, "not": {"$ref": "#/properties"}}, "/not/$ref"),
        ({"$id": "https://example.com/a", "not": {"$ref": "b"}}, "/not/$ref"),
    ],
)
def test_what_is_no_schema_is_refused_where_it_is_wrong(schema: Any, pointer: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        CHECKS.check_schema(schema, "/inputSchema")
    assert set(pointers(refused)) == {f"/inputSchema{pointer}"}


@pytest.mark.parametrize(
    ("schema", "given"),
    [
        (ORDER, {"orderId": 42, "items": [{"a/b": "x"}]}),
        (TREE, {"children": [{"children": []}]}),
        ({"format": "email"}, "formats are remarks, not rules"),
        ({"pattern": r"^\p{L}+[\u4e00-\u9fa5]\d$"}, "né一1"),
        ({"patternProperties": {"^x-": {}}, "additionalProperties": False}, {"x-a": 1}),
        ({"patternProperties": {"^x-": {}}, "unevaluatedProperties": False}, {"x-a": 1}),
        (
            {"allOf": [{"patternProperties": {"^x-": {}}}], "unevaluatedProperties": False},
            {"x-a": 1},
        ),
        ({}, None),
    ],
)
def test_an_input_meets_its_schema(schema: Any, given: Any) -> None:
    CHECKS.check_input(schema, given, "")


@pytest.mark.parametrize(
    ("schema", "given", "wrong"),
    [
        (ORDER, None, [""]),
        (ORDER, {}, [""]),
        (ORDER, {"orderId": 0}, ["/orderId"]),
        (ORDER, {"orderId": True}, ["/orderId"]),
        (ORDER, {"orderId": 1, "items": [{"a/b": 1}]}, ["/items/0/a~1b"]),
        (ORDER, {"orderId": "x", "more": 1}, ["", "/orderId"]),
        ({"pattern": "^a$"}, "a\n", [""]),
        ({"patternProperties": {"^x-": {"type": "string"}}}, {"x-a": 1}, ["/x-a"]),
        ({"patternProperties": {"^x-": {}}, "additionalProperties": False}, {"y": 1}, [""]),
        (
            {"allOf": [{"patternProperties": {"^x-": {}}}], "unevaluatedProperties": False},
            {"y": 1},
            [""],
        ),
        (TREE, {"children": [{"children": 5}]}, ["/children/0/children"]),
    ],
)
def test_an_input_is_refused_where_it_is_wrong(schema: Any, given: Any, wrong: list[str]) -> None:
    with pytest.raises(InvalidInput) as refused:
        CHECKS.check_input(schema, given, "")
    assert sorted(pointers(refused)) == wrong


def test_places_in_a_larger_document_are_named_from_its_root() -> None:
    with pytest.raises(InvalidInput) as refused:
        CHECKS.check_input(ORDER, {"orderId": 0}, "/input")
    assert pointers(refused) == ["/input/orderId"]


def test_a_schema_without_end_is_an_error_of_the_input_not_of_the_service() -> None:
    endless = {"$ref": "#"}
    CHECKS.check_schema(endless, "")
    with pytest.raises(InvalidInput, match="without end"):
        CHECKS.check_input(endless, 1, "")


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "schema",
    [
        {"additionalProperties": {"pattern": CATASTROPHE}},
        {"patternProperties": {CATASTROPHE: False}, "maxProperties": 0},
        {"patternProperties": {CATASTROPHE: False}, "additionalProperties": False},
        {
            "allOf": [{"$ref": "#/$defs/some"}],
            "unevaluatedProperties": False,
            "$defs": {"some": {"patternProperties": {CATASTROPHE: False}}},
        },
        {"additionalProperties": {"$schema": DIALECT, "pattern": CATASTROPHE}},
        {"$schema": DIALECT, "pattern": CATASTROPHE, "additionalProperties": {"$ref": "#"}},
        {
            "additionalProperties": {"$ref": "#/default"},
            "default": {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "pattern": CATASTROPHE,
            },
        },
    ],
    ids=[
        "pattern",
        "patternProperties",
        "additionalProperties",
        "unevaluatedProperties",
        "a dialect within",
        "a dialect at the root that is referred to",
        "another dialect where data is",
    ],
)
def test_no_pattern_takes_ages(schema: Any) -> None:
    long = "a" * 50_000 + "!"
    CHECKS.check_schema(schema, "/inputSchema")
    with pytest.raises(InvalidInput):
        CHECKS.check_input(schema, {long: long}, "")


def test_many_matches_of_a_large_pattern_are_not_begun() -> None:
    schema: Any = {"items": {"pattern": "(a|b)*a(a|b){300}c"}}
    CHECKS.check_schema(schema, "")
    CHECKS.check_input(schema, ["a" * 301 + "c"] * 10, "")
    with pytest.raises(InvalidInput, match="too many steps") as refused:
        CHECKS.check_input(schema, ["ab" * 5_000] * 1_000, "/input")
    assert pointers(refused) == ["/input"]


def test_a_stored_pattern_that_cannot_be_matched_refuses_the_input() -> None:
    with pytest.raises(InvalidInput, match="no regular expression of RE2") as refused:
        CHECKS.check_input({"pattern": "(?=a)a"}, "a", "")
    assert pointers(refused) == [""]


def test_of_very_many_and_very_long_problems_the_first_are_told() -> None:
    with pytest.raises(InvalidInput) as refused:
        CHECKS.check_input({"items": {"type": "integer"}}, ["x" * 10_000] * 1_000, "")
    assert len(refused.value.problems) == 50
    assert all(len(problem.detail) <= 300 for problem in refused.value.problems)
