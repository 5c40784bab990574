"""The expression language: what is accepted, what comes out, and what cannot happen."""

from time import process_time
from typing import Any

import cel
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from shared.adapters.cel.language import CelLanguage
from shared.domain.errors import EvaluationFailed, InvalidExpression
from shared.ports.expressions import ExpressionLanguage

SCOPE: dict[str, JsonValue] = {
    "input": {
        "user": {"name": "Ann", "age": 41},
        "items": [{"price": n, "name": f"n{n}"} for n in range(4)],
        "when": "2026-01-31T02:00:00Z",
        "none": None,
        "text": "some text",
    },
    "actions": {"log-1": {"output": {"status": 200}, "status": "completed", "error": None}},
}
LANGUAGE: ExpressionLanguage = CelLanguage()


def value_of(source: str, scope: dict[str, JsonValue] = SCOPE) -> JsonValue:
    return LANGUAGE.compile(source).evaluate(scope)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("input.user.age + 1", 42),
        ("input['user'].name", "Ann"),
        ("'Hello ' + input.user.name // said once", "Hello Ann"),
        ('actions["log-1"].output.status == 200', True),
        ("has(input.nope) ? 1 : 2", 2),
        ("input.nope == 1 || true", True),
        ("input.none", None),
        ("input.items[1]", {"price": 1, "name": "n1"}),
        ("input.items.filter(i, i.price > 1).map(i, i.name)", ["n2", "n3"]),
        ("input.items.map(i, i.price > 1, i.name).join(', ')", "n2, n3"),
        ("input.items.map(i, input.items.map(j, i.price * j.price))[2]", [0, 2, 4, 6]),
        ("input.user.map(k, k).size()", 2),
        ("{'a': [1, 2.5, null, true]}", {"a": [1, 2.5, None, True]}),
        ("timestamp(input.when) + duration('90m')", "2026-01-31T03:30:00.000Z"),
        ("timestamp('2026-01-31T02:00:00+02:00')", "2026-01-31T00:00:00.000Z"),
        ("duration('90s')", "90s"),
        ("duration('300s')", "5m"),
        ("7u", 7),
        ("type(1) == int", True),
        ("string(true) + string(1.5)", "true1.5"),
        ("'a,b'.split(',')", ["a", "b"]),
        ("'abc'.substring(1) + 'xyz'.substring(0, 1)", "bcx"),
        ("' É a '.trim().upperAscii()", "É A"),
        ("'aXa'.lowerAscii().replace('a', 'b').indexOf('x')", 1),
        ("[[1], [2, 3]].flatten().sum()", 6),
        ("[math.greatest(1, 3), math.least([4, 2]), math.abs(-1)]", [3, 2, 1]),
        ("[math.round(-2.5), math.ceil(1.2), math.floor(1.8)]", [-3.0, 2.0, 1.0]),
        ("string(base64.decode(base64.encode('hi')))", "hi"),
    ],
)
def test_an_expression_yields_plain_json(source: str, value: JsonValue) -> None:
    found = value_of(source)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("source", "variables", "actions", "paths"),
    [
        ("1", set(), set(), set()),
        ("a.b + c", {"a", "c"}, set(), {("a", "b"), ("c",)}),
        ("a.map(x, x.y + z)", {"a", "z"}, set(), {("a",), ("z",)}),
        ("x.filter(x, x.y)", {"x"}, set(), {("x",)}),
        ("[x, [1].all(x, x > 0)]", {"x"}, set(), {("x",)}),
        ("actions.b.output.c", {"actions"}, {"b"}, {("actions", "b", "output", "c")}),
        ("actions['b-c'].status", {"actions"}, {"b-c"}, {("actions", "b-c", "status")}),
        ("actions[a].status", {"actions", "a"}, set(), {("actions",), ("a",)}),
        ("a.b.size() + size(a.c[0].d)", {"a"}, set(), {("a", "b"), ("a", "c")}),
        ("type(a) == string", {"a"}, set(), {("a",)}),
        ("'b.c' in {'d': e}", {"e"}, set(), {("e",)}),
        ("math.abs(a)", {"a"}, set(), {("a",)}),
        ("has(a.b) // c", {"a"}, set(), {("a", "b")}),
    ],
)
def test_what_an_expression_refers_to_is_known(
    source: str, variables: set[str], actions: set[str], paths: set[Any]
) -> None:
    expression = LANGUAGE.compile(source)
    assert expression.source == source
    assert expression.variables == frozenset(variables)
    assert expression.actions == frozenset(actions)
    assert expression.paths == frozenset(paths)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "is empty"),
        ("1 +", "ends too early, at column 4"),
        ("1 2", "extraneous input '2' at column 3"),
        ("(1", r"has a '\(' that is not closed"),
        ("1]", "has a ']' that closes nothing"),
        ("'a", "cannot read"),
        ("a ; b", "cannot read"),
        ("nope(1)", "there is no function 'nope'"),
        ("now()", "there is no function 'now'"),
        ("tick__(0)", "there is no function 'tick__'"),
        ("a.map(1)", "'map' takes a name and an expression"),
        ("a.exists(k, v, true)", "'exists' takes a name and an expression"),
        ("msg{a: 1}", "has no type 'msg'"),
        (".a", r"has a '\.' that follows nothing"),
        ("1 / 0", "division by zero"),
        ("1 + 'a'", "wrong type"),
        ("size(1)", "'size' is not defined for what it is used with"),
        ("['a'].join(1)", "join: expected text, not a int"),
        ("b'a'", r"yields bytes: use string\(…\)"),
        ("{1: 2}", "an object with the key 1"),
        ("0.0 / 0.0", "not a finite number"),
        ("18446744073709551615u", "beyond 64 bits"),
        ("duration('1s') - duration('2s')", "negative duration"),
        ("timestamp('0000-01-01T00:00:00Z')", "year 0 is out of range"),
        ("1" * 4_097, "has 4097 characters; at most 4096"),
        ("(" * 33 + "1" + ")" * 33, "nested deeper than 32"),
        ("[1].map(a, [1].map(b, [1].map(c, [1].map(d, d))))", "nests 'map' deeper than 3 levels"),
        ("a" + " + a" * 101, r"more than 100 times '\+'"),
    ],
)
def test_what_can_never_have_a_value_does_not_compile(source: str, reason: str) -> None:
    with pytest.raises(InvalidExpression, match=reason) as refusal:
        LANGUAGE.compile(source)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("input.nope", "there is no 'nope'"),
        ("input.items[9]", "index out of bounds: 9"),
        ("nope.x", "'nope' is not defined"),
        ("input.user.age + 'x'", "wrong type"),
        ("input.none.x", "wrong type"),
        ("input.user.age / 0", "division by zero"),
        ("9223372036854775807 + input.user.age", "overflow"),
        ("int(input.text)", "int: string parse error"),
        ("input.text.matches(input.text + '(')", "matches: .* not a valid regex"),
        ("input.items.map(i, i.price / 0)", "division by zero"),
        ("input.text.replace('', input.text).substring(100)", "100 to"),
        ("bytes(input.text)", "yields bytes"),
        ("{input.user.age: 1}", "key 41"),
    ],
)
def test_what_has_no_value_here_says_why_in_one_line(source: str, reason: str) -> None:
    with pytest.raises(EvaluationFailed, match=reason) as failure:
        value_of(source)
    assert str(failure.value).startswith(f"${{ {source} }}: ")
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, "\ud800", float("nan"), [{"a": 2**64}]])
def test_what_the_language_would_change_silently_is_refused(value: JsonValue) -> None:
    with pytest.raises(EvaluationFailed, match="the value"):
        value_of("input.a", {"input": {"a": value}})


def test_what_is_not_referred_to_is_not_looked_at() -> None:
    assert value_of("input.a", {"input": {"a": 1, "b": 2**64}, "c": object()}) == 1  # type: ignore[dict-item]


def test_the_same_text_is_compiled_once() -> None:
    assert LANGUAGE.compile("input.a") is LANGUAGE.compile("input.a")


@pytest.mark.parametrize(
    "source",
    [
        "l.map(x, x * 2)",
        "l.map(x, x > 1, x * 2)",
        "l.filter(x, x > 1)",
        "l.filter(x, x)",
        "l.map(x, 1 / x)",
        "l.all(x, x > 0)",
        "l.exists(x, x > 1)",
        "l.exists_one(x, x == 2)",
        "l.existsOne(x, x > 1)",
        "l.exists(x, 1 / x > 0)",
        "l.all(x, 1 / x > 0)",
        "l.exists(x, l.map(y, 1 / (y - x)).size() > 3 || x == 2)",
        "l.map(x, l.filter(y, y > x)).filter(z, z.size() > 0)",
        "l.map(x, l.map(y, l.map(z, x + y + z)))",
        "{'a': 1}.map(k, k)",
        "l.map(x, x > 9, x)",
        "[].map(x, x)",
        "5.map(x, x)",
        "l.map(x, (x > 1 ? 'a' : 'b') + \"'\") // end",
    ],
)
def test_the_meter_changes_no_result(source: str) -> None:
    scope: dict[str, JsonValue] = {"l": [0, 1, 2, 3]}
    try:
        expected = cel.evaluate(source, scope)
    except (ValueError, TypeError, RuntimeError, ArithmeticError):
        with pytest.raises((EvaluationFailed, InvalidExpression)):
            value_of(source, scope)
    else:
        assert value_of(source, scope) == expected


@pytest.mark.parametrize(
    "source",
    [
        "l.map(a, l.map(b, l.map(c, c))).size()",
        "l.exists_one(a, l.exists_one(b, l.exists_one(c, c == 1)))",
        "l.all(a, l.all(b, l.all(c, c < 5000)))",
        "l.map(x, l).size()",
        "l.filter(x, x in l)",
        "l.all(x, 'a'.matches('a{999}') || true)",
        "['a']" + ".map(a, a + a + a + a + a + a + a + a)" * 12,
        "[l]" + ".map(a, a + a)" * 12,
    ],
    ids=lambda source: source[:40],
)
def test_too_much_work_is_ended_in_time(source: str) -> None:
    began = process_time()  # of this process: what others do to the machine does not count
    with pytest.raises((EvaluationFailed, InvalidExpression), match="more than 100000 steps"):
        value_of(source, {"l": list(range(3_000))})
    assert process_time() - began < 20


def test_long_lists_take_time_in_proportion() -> None:
    items: JsonValue = [{"a": number, "b": "x", "c": [1, 2]} for number in range(5_000)]
    began = process_time()
    assert value_of("input.filter(i, i.a > 9).map(i, i.a).size()", {"input": items}) == 4_990
    assert process_time() - began < 20


WORDS = [
    *("a", "input", "1", "2u", "1.5", "'x'", "b'y'", "null", "true", "in", "has", "size", "int"),
    *("(", ")", "[", "]", "{", "}", ".", ",", "?", ":", "+", "-", "*", "/", "%", "!", "&&", "||"),
    *("==", "<", ".map(x,", ".filter(x, x)", ".exists(", "x", "timestamp(", "duration('1s')"),
    *("string(", "join(", "\\", "\0", "\n", "//", "'''", "é", "9223372036854775807", "-", "[1]"),
]


@given(st.lists(st.sampled_from(WORDS), max_size=25).map(" ".join) | st.text(max_size=40))
def test_any_text_has_a_value_or_is_refused_by_name(source: str) -> None:
    try:
        value_of(source, {"a": 1, "input": [1, "b", None, {"c": 2}], "x": {}})
    except (InvalidExpression, EvaluationFailed) as refusal:
        assert "\n" not in str(refusal)  # noqa: PT017


@pytest.mark.parametrize(
    "source",
    [
        ">" + "{" * 63 + "?[" + "(" * 11 + "{" * 26 + "l\0?(-",
        *("[" * 4_000, "-" * 4_000 + "1", "!" * 4_001 + "a", "a" + "[0]" * 1_300, "1?" * 2_000),
        *("a" + ".b" * 2_000, "a" + ".f()" * 1_000, "true?1:" * 500 + "1", "a" + "<1" * 2_000),
    ],
    ids=lambda source: source[:20],
)
def test_no_text_makes_the_library_fall_over(source: str) -> None:
    try:
        value_of(source, {"a": 1})
    except (InvalidExpression, EvaluationFailed) as refusal:
        assert len(str(refusal)) < 400  # noqa: PT017
