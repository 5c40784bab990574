"""The strings that decide who wins."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.identity import (
    SHARDS,
    fingerprint,
    idempotent_id,
    manual_id,
    occurrence_id,
    shard_of,
    version_key,
    workflow_key,
)

AT = datetime(2026, 1, 31, 2, tzinfo=UTC)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
TRICKY = st.text(alphabet="a:%3A/ 0Z-", max_size=8)
PARTS = st.one_of(NAMES, TRICKY)
MILLISECONDS = st.integers(0, 10**12).map(lambda n: AT + timedelta(milliseconds=n))
OCCURRENCES = st.tuples(PARTS, PARTS, PARTS, MILLISECONDS, st.integers(0, 10**6))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def test_an_occurrence_is_named_by_workflow_and_instant() -> None:
    made = occurrence_id("default", "recurrent-workflow", "periodic", AT)
    assert made == "default:recurrent-workflow:periodic:2026-01-31T02:00:00.000Z:0"
    assert occurrence_id("default", "w", "periodic", AT, 3).endswith("Z:3")


def test_the_other_keys_start_with_tenant_and_workflow() -> None:
    assert workflow_key("default", "a.b_c-1") == "default:a.b_c-1"
    assert version_key("default", "hello", 7) == "default:hello:7"
    assert manual_id("default", "hello", "xyz") == "default:hello:manual:xyz"


@pytest.mark.parametrize(
    ("tenant", "encoded"),
    [
        ("plain", "plain"),
        ("a:b", "a%3Ab"),
        ("a/b", "a%2Fb"),
        ("a b", "a%20b"),
        ("50%", "50%25"),
        ("a%3Ab", "a%253Ab"),
        ("\u00fc", "%C3%BC"),
        ("\U0001f600", "%F0%9F%98%80"),
        ("line\nbreak", "line%0Abreak"),
        ("\u0661", "%D9%A1"),
        ("", ""),
    ],
)
def test_a_tenant_with_other_characters_is_percent_encoded(tenant: str, encoded: str) -> None:
    assert workflow_key(tenant, "hello") == f"{encoded}:hello"
    assert manual_id(tenant, "hello", "x") == f"{encoded}:hello:manual:x"


@given(OCCURRENCES, OCCURRENCES)
def test_different_occurrences_never_share_an_id(one: Any, other: Any) -> None:
    assert (occurrence_id(*one) == occurrence_id(*other)) == (one == other)


@given(PARTS, PARTS, PARTS)
def test_where_one_part_ends_matters(first: str, second: str, third: str) -> None:
    joined = {workflow_key(first + second, third), workflow_key(first, second + third)}
    assert len(joined) == (2 if second else 1)


@given(OCCURRENCES)
def test_an_id_can_be_taken_apart_again(parts: Any) -> None:
    tenant, workflow_id, trigger_id, instant, run = parts
    made = occurrence_id(*parts)
    assert made.isascii()
    first, second, third, rest = made.split(":", 3)
    at, _, number = rest.rpartition(":")
    assert [unquote(part) for part in (first, second, third)] == [tenant, workflow_id, trigger_id]
    assert datetime.fromisoformat(at) == instant
    assert int(number) == run


def test_an_idempotency_key_gives_one_id_per_tenant_and_workflow() -> None:
    made = idempotent_id("default", "hello", "k")
    assert re.fullmatch(r"default:hello:manual:key-[0-9a-f]{40}", made)
    assert idempotent_id("default", "hello", "k") == made
    others = {
        idempotent_id("default", "hello", "K"),
        idempotent_id("default", "hello", "k "),
        idempotent_id("default", "other", "k"),
        idempotent_id("other", "hello", "k"),
    }
    assert len(others | {made}) == 5


def _reversed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _reversed(value[key]) for key in reversed(value)}
    return [_reversed(item) for item in value] if isinstance(value, list) else value


@given(JSON)
def test_a_fingerprint_does_not_depend_on_the_order_of_keys(value: Any) -> None:
    assert fingerprint(_reversed(value)) == fingerprint(value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1, 2], [2, 1]),
        ({"a": 1}, {"a": "1"}),
        ({"a": 1}, {"a": True}),
        ({"a": None}, {}),
        ({}, []),
        ({}, None),
        ("", None),
        ("1", 1),
        ({"a": {"b": 1}}, {"a": {"c": 1}}),
        (["ab"], ["a", "b"]),
    ],
)
def test_different_values_have_different_fingerprints(one: Any, other: Any) -> None:
    assert fingerprint(one) != fingerprint(other)


def test_the_fingerprint_of_a_value_never_changes() -> None:
    assert fingerprint(None) == "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b"


@pytest.mark.parametrize(
    ("tenant", "workflow_id", "shard"),
    [("default", "hello", 33), ("default", "recurrent-workflow", 20)],
)
def test_the_shard_of_a_workflow_never_changes(tenant: str, workflow_id: str, shard: int) -> None:
    assert shard_of(tenant, workflow_id) == shard


@given(NAMES, NAMES)
def test_a_shard_is_one_of_sixty_four(tenant: str, workflow_id: str) -> None:
    assert shard_of(tenant, workflow_id) in range(64)


def test_workflows_spread_over_all_shards() -> None:
    assert SHARDS == 64
    assert {shard_of("default", f"w{n}") for n in range(2000)} == set(range(64))
