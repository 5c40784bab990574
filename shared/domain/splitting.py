"""Where in a text the expressions are: `${ … }`, but for `$${` and `${secret:NAME}`."""

import re
from dataclasses import dataclass
from typing import Final

from shared.domain.errors import InvalidExpression
from shared.domain.quoting import COMMENT, STRING

_MARK: Final = re.compile(r"\$\$\{(?!secret:)|\$\{(?!secret:)")
_ESCAPED: Final = "$${"
# A name is read as one, so that its last letter is not taken for the prefix of a quotation.
_INNER: Final = re.compile(rf"{STRING}|{COMMENT}|[A-Za-z_][A-Za-z0-9_]*|[{{}}]|(?s:.)")


@dataclass(frozen=True, slots=True)
class Embedded:
    """An expression within a text: what stands between `${` and `}`, without space around it."""

    source: str


Part = str | Embedded


def has_marks(text: str) -> bool:
    """Tell whether there is something in a text for `split` to find."""
    return "${" in text and _MARK.search(text) is not None


def split(text: str) -> list[Part]:
    """Return the parts of a text, in order; `$${` has become a literal `${`.

    `${secret:NAME}` stays literal, also after another `$`: who runs the action resolves it.
    Raises InvalidExpression for a `${` that is never closed and for one that is empty.
    """
    parts: list[Part] = []
    literal, position = "", 0
    while match := _MARK.search(text, position):
        literal += text[position : match.start()]
        if match.group() == _ESCAPED:
            literal, position = literal + "${", match.end()
            continue
        position = _end(text, match.end())
        parts += [literal, _embedded(text[match.end() : position - 1])]
        literal = ""
    parts.append(literal + text[position:])
    return [part for part in parts if part != ""]


def _end(text: str, start: int) -> int:
    """Return the position after the brace that closes the expression which begins at `start`."""
    depth = 1
    for match in _INNER.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        if not depth:
            return match.end()
    raise InvalidExpression(text[start:], "has an unclosed '${'")


def _embedded(source: str) -> Embedded:
    if not source.strip():
        raise InvalidExpression(source, "has an empty '${ }'; a literal '${' is written '$${'")
    return Embedded(source.strip())
