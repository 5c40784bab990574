"""The language of data-flow expressions, `${ … }` in a definition."""

from collections.abc import Mapping
from typing import Protocol

from pydantic import JsonValue

from shared.domain.references import References


class Expression(References, Protocol):
    """One compiled expression. It holds no state: any number of evaluations may share it."""

    @property
    def source(self) -> str:
        """The text it was compiled from."""
        ...

    def evaluate(self, scope: Mapping[str, JsonValue]) -> JsonValue:
        """Return its value, plain JSON that can be stored, where `scope` has the variables.

        Only the parts of `scope` that the expression refers to are read. The same
        scope always gives the same value: there is no clock and no chance in it.
        An instant becomes RFC 3339 text in UTC, a length of time `90s` or `5m`.

        Raises EvaluationFailed for a missing field, a wrong type, a value that is
        no JSON, or more work than one evaluation may take.
        """
        ...


class ExpressionLanguage(Protocol):
    """Turns the text between `${` and `}` into something that can be evaluated."""

    def compile(self, source: str) -> Expression:
        """Return the expression; the same text may give the same object.

        Raises InvalidExpression for wrong syntax, an unknown function, a text past
        the limits, and an expression without variables that has no value.
        Which variables there are is not known here: `shared.domain.templates` checks that.
        """
        ...
