"""What an expression refers to, as far as its text tells."""

from collections.abc import Collection
from typing import Protocol

Path = tuple[str, ...]
"""A variable and the fields named after it: `input.user["name"]` is `("input", "user", "name")`."""


class References(Protocol):
    """What a compiled expression refers to. What is looked up by a computed name is not in it."""

    @property
    def variables(self) -> frozenset[str]:
        """The variables it needs, without those that a macro such as `map` binds."""
        ...

    @property
    def paths(self) -> frozenset[Path]:
        """Each use of a variable, with the fields that follow it by name."""
        ...

    @property
    def actions(self) -> frozenset[str]:
        """The ids in `actions.ID` and `actions["ID"]`."""
        ...


class Compiler(Protocol):
    """The part of an expression language that a check needs."""

    def compile(self, source: str) -> References:
        """Return what the expression refers to, or raise InvalidExpression."""
        ...


def variables_of(paths: Collection[Path]) -> frozenset[str]:
    """Return the variables that some paths begin with."""
    return frozenset(path[0] for path in paths)


def names_under(variable: str, paths: Collection[Path]) -> frozenset[str]:
    """Return the fields that are named directly under a variable."""
    return frozenset(path[1] for path in paths if path[0] == variable and len(path) > 1)
