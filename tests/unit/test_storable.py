"""Which JSON values the database can keep."""

from typing import Any

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import InvalidInput
from shared.domain.storable import (
    MAX_DEPTH,
    MAX_OUTPUT,
    check_storable,
    escape,
    output_limit,
    problem_with_output,
    problems_in,
    size_of,
)

MIB = 2**20
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
STORABLE = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
ONLY_TEXT = st.recursive(
    TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
ANYTHING = st.recursive(
    SCALARS | st.integers(-(2**65), 2**65) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


def _nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


@pytest.mark.parametrize(
    ("value", "pointer", "saying"),
    [
        (2**63, "", "64 bits"),
        (-(2**63) - 1, "", "64 bits"),
        ([0, 2**70], "/1", "64 bits"),
        ("\ud800", "", "lone surrogate"),
        ({"a": ["\udfff"]}, "/a/0", "lone surrogate"),
        ("a\ud83d", "", "lone surrogate"),
        (float("nan"), "", "finite"),
        ({"x": float("inf")}, "/x", "finite"),
        ([float("-inf")], "/0", "finite"),
        ({"a\0b": 1}, "", "key"),
        ({"x": {"\ud800": 1}}, "/x", "key"),
        ({"x": {1: 1}}, "/x", "key"),
        ({"a/b": {"c~d": 2**70}}, "/a~1b/c~0d", "64 bits"),
        ({"": [2**70]}, "//0", "64 bits"),
        ({"x": {1, 2}}, "/x", "set"),
        ({"x": b"bytes"}, "/x", "bytes"),
        ({"x": (1, 2)}, "/x", "tuple"),
        (_nested(MAX_DEPTH + 1), "/0/a" * (MAX_DEPTH // 2) + "/a", "nested"),
    ],
)
def test_what_cannot_be_stored_is_named_by_its_place(value: Any, pointer: str, saying: str) -> None:
    (problem,) = problems_in(value)
    assert saying in problem.detail
    if "nested" not in saying:
        assert problem.pointer == pointer
    assert problem.pointer.count("/") == pointer.count("/")


def test_every_place_is_named_below_the_given_pointer() -> None:
    value: Any = {"a": 2**70, "b": ["ok", "\ud800"], "c": {"d\0": 1, "e": float("nan")}}
    with pytest.raises(InvalidInput) as refusal:
        check_storable(value, "/input")
    pointers = [problem.pointer for problem in refusal.value.problems]
    assert pointers == ["/input/a", "/input/b/1", "/input/c", "/input/c/e"]
    str(refusal.value).encode()


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        2**63 - 1,
        -(2**63),
        1e308,
        "",
        "nul \0 in a value",
        "\U0001f600",
        {"$set": {"a.b": [None]}, "": {}, "_id": 1},
        _nested(MAX_DEPTH),
    ],
)
def test_what_can_be_stored_passes(value: Any) -> None:
    check_storable(value)
    assert bson.encode({"value": value})


@given(STORABLE)
def test_any_json_of_small_numbers_and_proper_text_can_be_stored(value: Any) -> None:
    assert list(problems_in(value)) == []


@given(ANYTHING)
def test_what_passes_is_what_the_database_format_takes(value: Any) -> None:
    if list(problems_in(value)):
        with pytest.raises((bson.errors.InvalidDocument, OverflowError, UnicodeError)):
            bson.encode({"value": value})
    else:
        assert bson.decode(bson.encode({"value": value})) == {"value": value}


@pytest.mark.parametrize(
    ("segment", "escaped"),
    [("a", "a"), ("a/b", "a~1b"), ("a~b", "a~0b"), ("~1", "~01"), ("/~", "~1~0"), ("", "")],
)
def test_a_segment_of_a_pointer_is_escaped(segment: str, escaped: str) -> None:
    assert escape(segment) == escaped
    assert escaped.replace("~1", "/").replace("~0", "~") == segment


@pytest.mark.parametrize(
    ("actions", "limit"),
    [(1, MIB), (2, MIB), (8, MIB), (9, 932_067), (16, MIB // 2), (100, 83_886)],
)
def test_the_more_actions_the_smaller_each_output(actions: int, limit: int) -> None:
    assert output_limit(actions) == limit
    assert actions * limit <= 8 * MIB


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        (None, None),
        ("x" * 95, None),
        ("x" * 96, "the output has 101 bytes; at most 100 are kept"),
        ("\u00fc" * 48, "the output has 101 bytes; at most 100 are kept"),
        (["x" * 40, "x" * 40], "the output has 101 bytes; at most 100 are kept"),
        (2**70, "the output is an integer beyond 64 bits; send it as a string"),
        ({"a": ["\ud800"]}, "/a/0 has a lone surrogate, which is no Unicode text"),
        ("\ud800" * 1000, "the output has a lone surrogate, which is no Unicode text"),
    ],
)
def test_an_output_that_cannot_be_kept_is_explained(output: Any, problem: str | None) -> None:
    assert problem_with_output(output, 100) == problem


def test_a_large_output_is_refused_by_its_size() -> None:
    assert problem_with_output("x" * (20 * MIB), MAX_OUTPUT) == (
        "the output has 20971525 bytes; at most 1048576 are kept"
    )


@given(st.dictionaries(st.text(max_size=4), st.text(max_size=4) | ANYTHING, max_size=20))
def test_an_output_is_judged_by_what_it_holds_whichever_way_it_is_looked_at(output: Any) -> None:
    problem = problem_with_output(output, MAX_OUTPUT)
    assert (problem is None) == (not list(problems_in(output)) and size_of(output) <= MAX_OUTPUT)


@pytest.mark.parametrize("members", [1, 16, 17, 2000])
def test_many_short_members_are_kept_as_long_as_there_is_room(members: int) -> None:
    output: Any = {f"{number:0256}": "x" * 256 for number in range(members)}
    size = size_of(output)
    assert problem_with_output(output, size) is None
    assert "are kept" in (problem_with_output(output, size - 1) or "")


@given(ONLY_TEXT)
def test_the_size_is_at_least_that_of_all_text(value: Any) -> None:
    def text(part: Any) -> str:
        if isinstance(part, dict):
            return "".join(part) + text(list(part.values()))
        return part if isinstance(part, str) else "".join(map(text, part))

    assert size_of(value) >= len(text(value).encode())


@given(ANYTHING)
def test_the_size_is_no_less_than_what_the_database_format_takes(value: Any) -> None:
    if not list(problems_in(value)):
        assert size_of(value) + len(b"\0value\0") + 5 >= len(bson.encode({"value": value}))


def test_a_long_list_of_next_to_nothing_is_as_large_as_the_database_makes_it() -> None:
    assert size_of([""] * 100_000) == len(bson.encode({"": [""] * 100_000})) - 5 - 2
    with pytest.raises(InvalidInput, match="bytes in the database"):
        check_storable([[]] * 1_000_000)
