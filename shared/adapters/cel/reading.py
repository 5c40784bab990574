"""Reading from an expression's tokens which names it uses, and where its macros lie."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from shared.adapters.cel.tokens import Token, brackets_of, tokens_of
from shared.domain.errors import InvalidExpression
from shared.domain.references import Path

MACROS: Final = frozenset({"map", "filter", "all", "exists", "exists_one", "existsOne"})
MAX_NESTED_MACROS: Final = 3
MAX_SUMS: Final = 100
"""How often `+` may occur: each can double a text in memory, and nothing can stop it half-way."""

_TYPES: Final = {"bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type"}
_NO_VARIABLES: Final = {"true", "false", "null", "in", "uint"} | _TYPES
_OPENED, _DECLARED, _COMMA = 1, 2, 3
_END: Final = Token("end", "")


@dataclass(frozen=True, slots=True)
class Macro:
    """One `list.name(variable, …)`: the positions of its tokens."""

    name: str
    variable: str
    at: int
    commas: tuple[int, ...]
    closed: int

    def binds(self, position: int) -> bool:
        """Tell whether a token lies where the variable has its meaning."""
        return self.commas[0] < position < self.closed


class Reading:
    """The tokens of one expression, and what can be told from them."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens: Final = tokens_of(source)
        self._closed: Final = brackets_of(source, self.tokens)
        self.macros: Final = tuple(self._macros())
        self._refuse_what_costs_too_much()
        self._refuse_unknown_forms()

    def paths(self, within: Macro | None = None) -> frozenset[Path]:
        """Return the uses of variables that no macro binds; with a macro, those in its body."""
        return frozenset(
            self._path(position)
            for position in range(len(self.tokens))
            if self._is_variable(position) and (within is None or within.binds(position))
        )

    def calls(self) -> Iterator[tuple[int, str]]:
        """Yield where a function is called, and its name: `size`, `math.abs`."""
        macros = {macro.at for macro in self.macros}
        for position, token in enumerate(self.tokens):
            if token.kind == "name" and self._is(position + 1, "(") and position not in macros:
                yield position, token.text

    def owner(self, position: int) -> str | None:
        """Return the name that stands before the dot before a token, if it is one alone."""
        before = self._token(position - 2)
        plain = before.kind == "name" and not self._is(position - 3, ".")
        return before.text if self._is(position - 1, ".") and plain else None

    def _macros(self) -> Iterator[Macro]:
        for at, token in enumerate(self.tokens):
            if token.text in MACROS and self._is(at - 1, ".") and self._is(at + _OPENED, "("):
                commas = tuple(self._commas(at + _OPENED))
                most = 2 if token.text == "map" else 1
                declared = self._token(at + _DECLARED)
                if declared.kind != "name" or not 1 <= len(commas) <= most:
                    said = f"'{token.text}' takes a name and an expression: list.{token.text}(x, …)"
                    raise InvalidExpression(self.source, said)
                if self._is(at + _COMMA, ","):
                    closed = self._closed[at + _OPENED]
                    yield Macro(token.text, declared.text, at, commas, closed)

    def _commas(self, opened: int) -> Iterator[int]:
        position, closed = opened + 1, self._closed[opened]
        while position < closed:
            if self._is(position, ","):
                yield position
            position = self._closed.get(position, position) + 1

    def _is_variable(self, position: int) -> bool:
        token = self.tokens[position]
        return (
            token.kind == "name"
            and token.text not in _NO_VARIABLES
            and not self._is(position - 1, ".")
            and not self._is(position + 1, "(")
            and not self._is_namespace(position)
            and not any(position == macro.at + _DECLARED for macro in self.macros)
            and not any(m.variable == token.text and m.binds(position) for m in self.macros)
        )

    def _is_namespace(self, position: int) -> bool:
        """`math.abs(…)` calls a function; `math` is no variable there."""
        named = self.tokens[position].text in NAMESPACES
        return named and self._is(position + 1, ".") and self._is(position + 3, "(")

    def _path(self, position: int) -> Path:
        path, position = [self.tokens[position].text], position + 1
        while True:
            if self._is(position, ".") and not self._is(position + 2, "("):
                path.append(self._token(position + 1).text)
                position += 2
            elif self._is(position, "[") and (name := self._quoted(position)) is not None:
                path.append(name)
                position += 3
            else:
                return tuple(path)

    def _quoted(self, opened: int) -> str | None:
        """Return the plain text between brackets, `["like this"]`."""
        token = self._token(opened + 1)
        plain = token.kind == "string" and token.text[0] in "'\"" and "\\" not in token.text
        if not plain or self._closed[opened] != opened + 2:
            return None
        width = 3 if token.text[:3] in {"'''", '"""'} else 1
        return token.text[width:-width]

    def _refuse_what_costs_too_much(self) -> None:
        for macro in self.macros:
            if sum(other.binds(macro.at) for other in self.macros) >= MAX_NESTED_MACROS:
                said = f"nests '{macro.name}' deeper than {MAX_NESTED_MACROS} levels"
                raise InvalidExpression(self.source, said)
        if self.tokens.count(Token("sign", "+")) > MAX_SUMS:
            raise InvalidExpression(self.source, f"has more than {MAX_SUMS} times '+'")

    def _refuse_unknown_forms(self) -> None:
        """Refuse what the library takes for an expression and then never can evaluate."""
        operand = ({"name", "string", "number"}, {")", "]", "}"})
        for position, token in enumerate(self.tokens):
            before = self._token(position - 1)
            if token == (Token("sign", ".")) and (
                before.kind not in operand[0] and before.text not in operand[1]
            ):
                raise InvalidExpression(self.source, "has a '.' that follows nothing")
            if token.text == "{" and before.kind == "name" and before.text != "in":
                said = f"has no type '{before.text}' to make with '{{'"
                raise InvalidExpression(self.source, said)

    def _token(self, position: int) -> Token:
        return self.tokens[position] if 0 <= position < len(self.tokens) else _END

    def _is(self, position: int, sign: str) -> bool:
        return self._token(position) == Token("sign", sign)


NAMESPACES: Final = frozenset({"math", "base64"})
