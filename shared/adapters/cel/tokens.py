"""Splitting CEL text into tokens, as far as its meaning can be read without a parser.

The library gives no syntax tree. What is needed of one (which names are used,
where a macro's body lies) follows from tokens and matching brackets.
"""

import re
from typing import Final, NamedTuple

from shared.domain.errors import InvalidExpression
from shared.domain.quoting import COMMENT, STRING

_TOKEN: Final = re.compile(
    rf"(?P<space>[ \t\r\n\f]+|{COMMENT})"
    rf"|(?P<string>{STRING})"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[uU]?)"
    r"|(?P<sign>==|!=|<=|>=|&&|\|\||[-+*/%<>!?:.,()\[\]{}])"
)
_CLOSING: Final = {"(": ")", "[": "]", "{": "}"}
MAX_DEPTH: Final = 32
"""Brackets within brackets. The library recurses, and a stack that overflows ends the process."""


class Token(NamedTuple):
    """One word of an expression; `kind` is string, name, number or sign."""

    kind: str
    text: str


def tokens_of(source: str) -> list[Token]:
    """Return the tokens without space and comments; raise InvalidExpression at what is none."""
    tokens, position = [], 0
    while position < len(source):
        match = _TOKEN.match(source, position)
        if match is None:
            raise InvalidExpression(source, f"cannot read {source[position : position + 10]!a}")
        if match.lastgroup and match.lastgroup != "space":
            tokens.append(Token(match.lastgroup, match.group()))
        position = match.end()
    return tokens


def brackets_of(source: str, tokens: list[Token]) -> dict[int, int]:
    """Return where each bracket that opens is closed; raise InvalidExpression if one is not."""
    pairs: dict[int, int] = {}
    opened: list[int] = []
    for position, token in enumerate(tokens):
        if token.kind == "sign" and token.text in _CLOSING:
            opened.append(position)
            if len(opened) > MAX_DEPTH:
                raise InvalidExpression(source, f"has brackets nested deeper than {MAX_DEPTH}")
        elif token.kind == "sign" and token.text in _CLOSING.values():
            if not opened or _CLOSING[tokens[opened[-1]].text] != token.text:
                raise InvalidExpression(source, f"has a '{token.text}' that closes nothing")
            pairs[opened.pop()] = position
    if opened:
        raise InvalidExpression(source, f"has a '{tokens[opened[-1]].text}' that is not closed")
    return pairs
