"""References to secrets, and the headers that carry them."""

from typing import Any

import pytest

from shared.domain.secrets import (
    UnknownSecret,
    check_references,
    is_sensitive_header,
    redact_headers,
    resolve,
)

SECRETS = {"TOKEN": "s3cr3t", "KEY_2": "a/b c", "NESTED": "${secret:TOKEN}", "EMPTY": ""}


@pytest.mark.parametrize(
    ("value", "resolved", "used"),
    [
        ("${secret:TOKEN}", "s3cr3t", {"s3cr3t"}),
        ("Bearer ${secret:TOKEN}", "Bearer s3cr3t", {"s3cr3t"}),
        ("${secret:TOKEN}${secret:KEY_2}", "s3cr3ta/b c", {"s3cr3t", "a/b c"}),
        ("${secret:NESTED}", "${secret:TOKEN}", {"${secret:TOKEN}"}),
        ("no reference: $TOKEN, ${TOKEN}", "no reference: $TOKEN, ${TOKEN}", set()),
        (["${secret:TOKEN}", 1, None], ["s3cr3t", 1, None], {"s3cr3t"}),
        ({"a": {"b": ["${secret:TOKEN}"]}}, {"a": {"b": ["s3cr3t"]}}, {"s3cr3t"}),
        ({"${secret:TOKEN}": 1}, {"${secret:TOKEN}": 1}, set()),
        (5, 5, set()),
        (None, None, set()),
    ],
)
def test_references_are_replaced_wherever_text_is(
    value: Any, resolved: Any, used: set[str]
) -> None:
    seen: set[str] = set()
    assert resolve(value, SECRETS, seen) == resolved
    assert seen == used


def test_an_unknown_secret_is_named_with_its_variable() -> None:
    with pytest.raises(UnknownSecret, match=r"'NOPE' is not set.*SECRET_NOPE") as refusal:
        resolve({"a": "${secret:NOPE}"}, SECRETS, set())
    assert refusal.value.name == "NOPE"
    assert not any(value in str(refusal.value) for value in SECRETS.values() if value)


@pytest.mark.parametrize(
    "text",
    ["", "plain", "${secret:A}", "${secret:A_1}-${secret:B}", "${secret:" + "A" * 64 + "}", "${x}"],
)
def test_well_formed_references_pass(text: str) -> None:
    check_references(text)
    assert resolve(text, {"A": "", "A_1": "", "B": "", "A" * 64: ""}, set()) in {"", "-", text}


@pytest.mark.parametrize(
    "text",
    [
        "${secret:}",
        "${secret:lower}",
        "${secret:A",
        "${secret:A b}",
        "${secret:1A}",
        "${secret:_A}",
        "${secret: A}",
        "${secret:A}${secret:b}",
        "${secret:${secret:A}}",
        "${secret:\u00c4}",
        "${secret:" + "A" * 65 + "}",
    ],
)
def test_malformed_references_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="malformed secret reference"):
        check_references(text)


@pytest.mark.parametrize(
    ("name", "sensitive"),
    [
        ("Authorization", True),
        ("proxy-authorization", True),
        ("COOKIE", True),
        ("Set-Cookie", True),
        ("X-Api-Key", True),
        ("apikey", True),
        ("X-Auth-Token", True),
        ("X-Client-Secret", True),
        ("X-Hub-Signature-256", True),
        ("X-Password", True),
        ("Content-Type", False),
        ("Accept", False),
        ("X-Request-Id", False),
        ("Idempotency-Key", False),
    ],
)
def test_headers_that_carry_credentials_are_known(name: str, *, sensitive: bool) -> None:
    assert is_sensitive_header(name) is sensitive
    shown = redact_headers({name: "value"})
    assert shown == {name: "***" if sensitive else "value"}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("${secret:TOKEN}", "${secret:TOKEN}"),
        ("Bearer ${secret:TOKEN}", "Bearer ${secret:TOKEN}"),
        ("Basic dXNlcjpwYXNz", "***"),
        ("Bearer abc${secret:TOKEN}", "***"),
        ("${secret:TOKEN} abc", "***"),
        ("${secret:TOKEN}${secret:KEY}", "***"),
        ("a b ${secret:TOKEN}", "***"),
        ("${secret:TOKEN}\n", "***"),
        ("", "***"),
    ],
)
def test_a_sensitive_header_is_shown_only_as_a_reference(value: str, shown: str) -> None:
    assert redact_headers({"Authorization": value}) == {"Authorization": shown}
