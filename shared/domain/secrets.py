"""References to secrets, `${secret:NAME}`, and how to keep their values out of sight."""

import json
import re
from collections.abc import Collection, Mapping
from typing import Final

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


class Redactor:
    """Replaces secret values wherever they turn up, however they are spelt there.

    A character may have gone through a URL (percent-encoded, or `+`) or through JSON
    (escaped), each by itself: who encodes what differs between programs.
    """

    def __init__(self, secrets: Collection[str]) -> None:
        spelt = [_spelling(s) for s in sorted(filter(None, secrets), key=len, reverse=True)]
        self._pattern = re.compile("|".join(spelt)) if spelt else None
        self.longest = max(map(len, secrets), default=0)

    def text(self, text: str) -> str:
        """Return a text with every occurrence of a secret replaced by `***`."""
        return self._pattern.sub(REDACTED, text) if self._pattern else text

    def json(self, value: JsonValue) -> JsonValue:
        """Return a JSON value with every occurrence of a secret replaced by `***`."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.json(item) for item in value]
        if isinstance(value, dict):
            return {self.text(key): self.json(item) for key, item in value.items()}
        return value


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


def _resolve_text(text: str, secrets: Mapping[str, str], used: set[str]) -> str:
    def value_of(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in secrets:
            raise UnknownSecret(name)
        used.add(secrets[name])
        return secrets[name]

    return SECRET_REFERENCE.sub(value_of, text)


def _spelling(secret: str) -> str:
    """Return a pattern for a secret in any mixture of encodings."""
    return "".join(f"(?:{'|'.join(_forms(character))})" for character in secret)


def _forms(character: str) -> list[str]:
    octets = character.encode(errors="surrogatepass")
    percent = "".join(f"%(?i:{octet:02x})" for octet in octets)
    units = character.encode("utf-16-be", errors="surrogatepass").hex()
    escaped = "".join(rf"\\u(?i:{units[i : i + 4]})" for i in range(0, len(units), 4))
    forms = [re.escape(character), percent, escaped, re.escape(json.dumps(character)[1:-1])]
    if character == " ":
        forms.append(r"\+")
    if character == "/":
        forms.append(r"\\/")
    # Each once: two ways to match the same make a search that fails take exponential time.
    return list(dict.fromkeys(forms))
