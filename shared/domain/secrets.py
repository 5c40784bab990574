"""References to secrets, `${secret:NAME}`, and how to keep their values out of sight."""

import json
import re
from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import quote

from pydantic import JsonValue

SECRET_REFERENCE: Final = re.compile(r"\$\{secret:([A-Z][A-Z0-9_]{0,63})\}")
REDACTED: Final = "***"
_OPENING: Final = "${secret:"
_ONLY_REFERENCE: Final = re.compile(rf"([A-Za-z]{{1,16}} )?{SECRET_REFERENCE.pattern}")
_SENSITIVE_HEADER: Final = re.compile(
    r"authorization|cookie|token|secret|password|api-?key|credential|signature", re.IGNORECASE
)


class UnknownSecret(LookupError):
    """A reference names a secret that the environment does not hold."""

    def __init__(self, name: str) -> None:
        super().__init__(f"secret '{name}' is not set: the runner's SECRET_{name} is missing")
        self.name = name


def check_references(text: str) -> None:
    """Raise ValueError if `text` opens a secret reference that is not well-formed."""
    if text.count(_OPENING) != len(SECRET_REFERENCE.findall(text)):
        raise ValueError(
            "has a malformed secret reference; write ${secret:NAME}, "
            "NAME in capitals, digits and '_'"
        )


def resolve(value: JsonValue, secrets: Mapping[str, str], used: set[str]) -> JsonValue:
    """Return `value` with every reference replaced; add the values that were used to `used`.

    Raises UnknownSecret for a name that is not in `secrets`.
    """
    if isinstance(value, str):
        return _resolve_text(value, secrets, used)
    if isinstance(value, list):
        return [resolve(item, secrets, used) for item in value]
    if isinstance(value, dict):
        return {key: resolve(item, secrets, used) for key, item in value.items()}
    return value


def redact(value: JsonValue, values: Collection[str]) -> JsonValue:
    """Return `value` with every occurrence of the given secret values replaced by `***`."""
    if not values:
        return value
    if isinstance(value, str):
        return redact_text(value, values)
    if isinstance(value, list):
        return [redact(item, values) for item in value]
    if isinstance(value, dict):
        return {redact_text(key, values): redact(item, values) for key, item in value.items()}
    return value


def redact_text(text: str, values: Collection[str]) -> str:
    """Return `text` with every occurrence of the given secret values replaced by `***`."""
    for secret in sorted(filter(None, values), key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    return text


def is_sensitive_header(name: str) -> bool:
    """Tell whether a header usually carries a credential."""
    return _SENSITIVE_HEADER.search(name) is not None


def redact_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers fit to show.

    A sensitive one is shown only when it is a reference, alone or after a scheme
    as in `Bearer ${secret:NAME}`.
    """
    return {
        name: value
        if not is_sensitive_header(name) or _ONLY_REFERENCE.fullmatch(value)
        else REDACTED
        for name, value in headers.items()
    }


def spellings(secret: str) -> frozenset[str]:
    """Return the forms in which a secret's value may turn up: plain, in a URL, in JSON."""
    return frozenset({secret, quote(secret, safe=""), quote(secret), json.dumps(secret)[1:-1]})


def _resolve_text(text: str, secrets: Mapping[str, str], used: set[str]) -> str:
    def value_of(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in secrets:
            raise UnknownSecret(name)
        used.add(secrets[name])
        return secrets[name]

    return SECRET_REFERENCE.sub(value_of, text)
