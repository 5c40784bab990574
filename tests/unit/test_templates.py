"""Expressions within the strings of a definition."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from shared.adapters.cel.language import CelLanguage
from shared.domain.errors import EvaluationFailed, FieldProblem, InvalidExpression
from shared.domain.secrets import SECRET_REFERENCE
from shared.domain.splitting import Embedded, split
from shared.domain.templates import check_expressions, expressions_in, has_expressions, render

PLAIN = st.text().filter(lambda text: "${" not in text)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | PLAIN,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
PIECES = st.lists(
    st.sampled_from(
        [
            *("${", "}", "$", "{", "secret:", "TOKEN", "${secret:TOKEN}", "$${", "'", '"', "\\"),
            *("${ a }", "${ b }", "//", "\n", "r'", "'''", " ", "x"),
        ]
    )
    | st.text(max_size=3)
).map("".join)


def always(*values: JsonValue) -> Callable[[str], JsonValue]:
    """Return an evaluation that yields some values in turn."""
    turns: Iterator[JsonValue] = iter(values)
    return lambda _source: next(turns)


def named(source: str) -> str:
    return f"<{source}>"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", []),
        ("plain", ["plain"]),
        ("${a}", [Embedded("a")]),
        ("${ a }", [Embedded("a")]),
        ("x${a}y${b}", ["x", Embedded("a"), "y", Embedded("b")]),
        ("${ {'k': {'l': 1}} }!", [Embedded("{'k': {'l': 1}}"), "!"]),
        ("${ '}' }", [Embedded("'}'")]),
        ('${ "}\\"}" }', [Embedded('"}\\"}"')]),
        ("${ '''}'}''' }", [Embedded("'''}'}'''")]),
        ("${ r'\\' }", [Embedded("r'\\'")]),
        ("${ bar + '}' }", [Embedded("bar + '}'")]),
        ("${ a // it's }\n }", [Embedded("a // it's }")]),
        ("$${a}", ["${a}"]),
        ("$${a}${b}", ["${a}", Embedded("b")]),
        ("${secret:TOKEN}", ["${secret:TOKEN}"]),
        ("$${secret:TOKEN}", ["$${secret:TOKEN}"]),
        ("Bearer ${secret:TOKEN} ${a}", ["Bearer ${secret:TOKEN} ", Embedded("a")]),
        ("$ {a} $a }", ["$ {a} $a }"]),
    ],
)
def test_a_text_is_split_where_an_expression_really_ends(text: str, parts: list[Any]) -> None:
    assert split(text) == parts


@pytest.mark.parametrize("text", ["${", "${a", "x ${ '}' ", "${ {'a': 1} ", "${ a // }"])
def test_an_expression_that_is_never_closed_is_refused(text: str) -> None:
    with pytest.raises(InvalidExpression, match=r"has an unclosed '\$\{'"):
        split(text)


@pytest.mark.parametrize("text", ["${}", "a ${  } b"])
def test_an_empty_expression_is_refused_with_the_way_to_write_it_literally(text: str) -> None:
    with pytest.raises(InvalidExpression, match=r"has an empty.*'\$\$\{'"):
        split(text)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("${a}", True),
        ("$${a}", True),
        ({"x": [1, {"y": "a ${b}"}]}, True),
        ("${", True),
        ("${secret:TOKEN}", False),
        ("$${secret:TOKEN}", False),
        ({"${a}": 1}, False),
        ([1, None, True, "a"], False),
    ],
)
def test_expressions_are_noticed_at_any_depth(value: JsonValue, found: bool) -> None:
    assert has_expressions(value) is found


def test_expressions_are_listed_with_where_they_stand() -> None:
    value: JsonValue = {"a/b": ["x", "${c} ${d}"], "e": "${f}", "g": "${secret:H}"}
    assert list(expressions_in(value)) == [("/a~1b/1", "c"), ("/a~1b/1", "d"), ("/e", "f")]


@pytest.mark.parametrize("result", ["text", 1, 1.5, True, None, [1, {"a": None}], {"k": [1]}])
def test_a_string_that_is_one_expression_becomes_its_value(result: JsonValue) -> None:
    assert render({"p": ["${a}"]}, always(result)) == {"p": [result]}


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        ("text", "text"),
        (1, "1"),
        (1.0, "1.0"),
        (True, "true"),
        (None, "null"),
        ([1, "é"], '[1,"é"]'),
        ({"k": None}, '{"k":null}'),
    ],
)
def test_within_a_text_a_result_is_written_out(result: JsonValue, shown: str) -> None:
    assert render(" ${a}", always(result)) == f" {shown}"
    assert render("${a}${b}", always(result, "!")) == f"{shown}!"


def test_references_escapes_and_keys_stay_what_they_are() -> None:
    value: JsonValue = {"${k}": "${secret:A} $${b} ${c}", "d": "${secret:A}"}
    assert render(value, named) == {"${k}": "${secret:A} ${b} <c>", "d": "${secret:A}"}


@pytest.mark.parametrize(
    ("template", "results"),
    [
        ("${a}", ["${secret:TOKEN}"]),
        ("${a}", [["x", {"y": "-${secret:TOKEN}-"}]]),
        ("${a}", [{"${secret:TOKEN}": 1}]),
        ("${a}", ["${secret:"]),
        ("x ${a}", ["${secret:TOKEN}"]),
        ("x ${a}", [{"y": "${secret:TOKEN}"}]),
        ("${a}${b}", ["${sec", "ret:TOKEN}"]),
        ("${a}{secret:TOKEN}", ["$"]),
        ("${a}secret:TOKEN}", ["${"]),
        ("$${${a}", ["secret:TOKEN}"]),
        ("${secret:${a}}", ["TOKEN"]),
        ("${secret:${a}", ["TOKEN}"]),
        ("${secret:A${a}}", ["B"]),
        ("${secret:A}${a}", ["${secret:B}"]),
    ],
)
def test_no_result_can_form_a_reference_to_a_secret(template: str, results: list[Any]) -> None:
    with pytest.raises(EvaluationFailed, match="contains a secret reference"):
        render({"p": [template]}, always(*results))


@given(VALUES)
def test_a_value_without_expressions_is_rendered_as_it_is(value: JsonValue) -> None:
    assert not has_expressions(value)
    assert render(value, named) == value


@given(st.text() | PIECES)
def test_any_text_is_split_or_refused(text: str) -> None:
    try:
        parts = split(text)
    except InvalidExpression:
        assert has_expressions(text)
    else:
        assert has_expressions(text) or parts in ([], [text])


@given(PIECES, st.lists(PIECES, min_size=1))
def test_whatever_is_rendered_has_the_references_of_the_definition(
    text: str, results: list[str]
) -> None:
    turns = iter(results)
    try:
        rendered = render(text, lambda _source: next(turns, "${secret:TOKEN}"))
    except (InvalidExpression, EvaluationFailed):
        return
    literals = [part for part in split(text) if isinstance(part, str)]
    written = [name for part in literals for name in SECRET_REFERENCE.findall(part)]
    assert SECRET_REFERENCE.findall(str(rendered)) == written


def problems(value: JsonValue) -> list[FieldProblem]:
    return check_expressions(
        value,
        CelLanguage(),
        allowed_variables={"input", "actions", "env"},
        upstream={"first", "log-1"},
        known={"first", "log-1", "later"},
        env_allowed={"REGION"},
    )


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "${ input.a + input.b.map(x, x.y)[0] }",
        "${ actions.first.output.body.nope }",
        '${ actions["log-1"].status } $${x}',
        "${ env.REGION } ${ actions[input.which].output }",
        "${ has(actions.first.error) ? env[input.x] : 1 }",
        "${secret:TOKEN}",
    ],
)
def test_what_refers_to_what_there_is_passes(text: str) -> None:
    assert problems({"p": text}) == []


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("${ 1 + }", "${ 1 + }: ends too early, at column 4"),
        ("${ a", "has an unclosed '${'"),
        ("${ 'a }", "${ 'a }: cannot read \"'a\""),
        ("${ item.x }", "${ item.x }: there is no variable 'item'; there are 'actions', 'env', 'i"),
        ("${ actions.nope.output }", "${ actions.nope.output }: there is no action 'nope'"),
        (
            "${ actions.later.output }",
            "${ actions.later.output }: 'later' does not come before this action: add it to needs",
        ),
        (
            "${ actions.log-1.output }",
            "${ actions.log-1.output }: there is no action 'log'; an id with '-' is written in br",
        ),
        (
            "${ actions.first.result }",
            "${ actions.first.result }: an action has no 'result' (of 'first'), only 'error', 'out",
        ),
        (
            "${ env.HOME }",
            "${ env.HOME }: 'env.HOME' is not allowed: the setting EXPRESSION_ENV lists 'REGION'",
        ),
        ("${ nope(1) }", "${ nope(1) }: there is no function 'nope'"),
        ("${secret:${ input.x }}", "has an expression within a secret reference"),
    ],
)
def test_each_finding_names_the_string_and_what_would_be_right(text: str, detail: str) -> None:
    (problem, *others) = problems({"p": ["x", text]})
    assert problem.pointer == "/p/1"
    assert problem.detail.startswith(detail)
    assert all(other.pointer == "/p/1" and "there is no" in other.detail for other in others)


def test_every_finding_is_told_at_once() -> None:
    found = problems({"a": "${ nope } ${ nix }", "b": ["${ 1 + }"]})
    assert [problem.pointer for problem in found] == ["/a", "/a", "/b/0"]
