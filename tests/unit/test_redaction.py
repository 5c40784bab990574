"""Keeping the values of secrets out of sight, however they are spelt."""

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.contracts.api import workflow_view
from shared.domain.secrets import Redactor
from tests.support.builders import workflow

# A secret that has the character of the mark can come about anew next to a mark.
VALUES = st.text(
    st.characters(exclude_characters="*", exclude_categories=["Cs"]), min_size=1, max_size=12
)
AROUND = st.text(max_size=10)
NESTED = st.recursive(
    AROUND,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(AROUND, inner, max_size=3),
    max_leaves=6,
)


def _json_text(text: str, *, ascii_only: bool = True) -> str:
    return json.dumps(text, ensure_ascii=ascii_only)[1:-1]


def _percent_lower(text: str) -> str:
    return re.sub("%[0-9A-F]{2}", lambda octet: octet.group().lower(), quote(text, safe=""))


ENCODERS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "path": quote,
    "component": lambda text: quote(text, safe=""),
    "lower-case octets": _percent_lower,
    "form": quote_plus,
    "every octet": lambda text: "".join(f"%{octet:02X}" for octet in text.encode()),
    "json": _json_text,
    "json in UTF-8": lambda text: _json_text(text, ascii_only=False),
    "json with escaped slashes": lambda text: _json_text(text).replace("/", "\\/"),
}


@pytest.mark.parametrize(
    ("value", "secrets", "redacted"),
    [
        ("token=s3cr3t;", ["s3cr3t"], "token=***;"),
        ("s3cr3ts3cr3t", ["s3cr3t"], "******"),
        ("abc abcdef", ["abc", "abcdef"], "*** ***"),
        ("abc abcdef", ["abcdef", "abc"], "*** ***"),
        ("s.t sxt", ["s.t"], "*** sxt"),
        ("S3CR3T", ["s3cr3t"], "S3CR3T"),
        ("nothing", ["s3cr3t"], "nothing"),
        ("", ["s3cr3t"], ""),
        ("kept", [], "kept"),
        ("kept", [""], "kept"),
        ({"s3cr3t": ["x s3cr3t", 1, None, True]}, ["s3cr3t"], {"***": ["x ***", 1, None, True]}),
        ({"a": {"b": "s3cr3t"}}, [], {"a": {"b": "s3cr3t"}}),
        (12345, ["12345"], 12345),
    ],
)
def test_values_are_replaced_by_a_mark(value: Any, secrets: list[str], redacted: Any) -> None:
    assert Redactor(secrets).json(value) == redacted


@pytest.mark.parametrize(
    ("secret", "text", "redacted"),
    [
        ("a/b c", "https://e.com/?q=a/b c", "https://e.com/?q=***"),
        ("a/b c", "https://e.com/?q=a%2Fb%20c&d", "https://e.com/?q=***&d"),
        ("a/b c", "https://e.com/?q=a%2fb+c&d", "https://e.com/?q=***&d"),
        ("a/b c", "https://e.com/a/b%20c/d", "https://e.com/***/d"),
        ("p@ss:w/rd", "https://user:p%40ss%3Aw%2Frd@e.com", "https://user:***@e.com"),
        ('say "hi"\\!', r'{"echo": "say \"hi\"\\!"}', '{"echo": "***"}'),
        ("line\nbreak", r'{"echo": "line\nbreak"}', '{"echo": "***"}'),
        ('p\u00e4"ss', r'{"echo": "p\u00e4\"ss"}', '{"echo": "***"}'),
        ('p\u00e4"ss', '{"echo": "p\u00e4\\"ss"}', '{"echo": "***"}'),
        ('p\u00e4"ss', r'{"echo": "p\u00E4\u0022ss"}', '{"echo": "***"}'),
        ("\U0001f600key", r'{"echo": "\ud83d\ude00key"}', '{"echo": "***"}'),
        ("\U0001f600key", "/%F0%9f%98%80key", "/***"),
    ],
)
def test_a_secret_is_found_in_its_other_spellings(secret: str, text: str, redacted: str) -> None:
    assert Redactor([secret]).text(text) == redacted


@pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS)
@given(secret=VALUES)
def test_a_secret_is_found_whoever_encoded_it(encode: Callable[[str], str], secret: str) -> None:
    assume(secret[-1] not in "%\\")
    assume(not {"<", ">"} & set(secret))
    assert Redactor([secret]).text(f"<{encode(secret)}>") == "<***>"


@given(AROUND, VALUES, AROUND, VALUES)
def test_a_redacted_text_has_no_secret_in_it(
    before: str, secret: str, after: str, other: str
) -> None:
    redacted = Redactor([other, secret]).text(before + secret + other + secret + after)
    assert secret not in redacted
    assert other not in redacted


@given(NESTED, VALUES)
def test_no_part_of_a_redacted_value_has_the_secret_in_it(value: Any, secret: str) -> None:
    redacted = Redactor([secret]).json([value, secret, {secret: value}])

    def texts(part: Any) -> list[str]:
        if isinstance(part, dict):
            return [*part, *texts(list(part.values()))]
        return [part] if isinstance(part, str) else [t for item in part for t in texts(item)]

    assert not any(secret in text for text in texts(redacted))


@pytest.mark.parametrize(("secrets", "longest"), [([], 0), ([""], 0), (["ab", "abc"], 3)])
def test_a_redactor_tells_the_length_of_its_longest_secret(
    secrets: list[str], longest: int
) -> None:
    assert Redactor(secrets).longest == longest


def test_a_text_that_almost_holds_a_long_secret_is_searched_at_once() -> None:
    secret = "sk-live-" + "a" * 200
    almost = secret[:-1] + "*"
    assert Redactor([secret]).text(almost) == almost


def test_a_workflow_is_shown_without_the_credentials_of_its_actions_and_compensations() -> None:
    headers = {"Authorization": "Bearer s3cr3t", "Accept": "*/*"}
    call = {"type": "http-request", "url": "https://example.com/", "headers": headers}
    made = workflow(actions=[{**call, "compensate": [call]}])
    shown = workflow_view(made, ()).model_dump_json()
    assert "s3cr3t" not in shown
    assert shown.count("***") == 2
