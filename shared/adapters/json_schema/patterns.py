"""The patterns of JSON Schema, matched by RE2, which never backtracks.

Python's own engine takes ages for a pattern such as `(a+)+$` over one long text, and
meanwhile its service answers nobody. RE2 takes at most as many steps as its program has
instructions, for each character; so the steps can be counted before they are taken.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from types import FunctionType
from typing import Any, Final

import attrs
import re2  # type: ignore[import-untyped]
from jsonschema import Draft202012Validator, validators  # type: ignore[import-untyped]

STEPS: Final = 20_000_000
"""How many steps all matches of one check may take: two seconds at worst."""

_MEMORY: Final = 2**20
_CACHED: Final = 128
_UNICODE: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u([0-9a-fA-F]{4})")
_left: Final[ContextVar[int]] = ContextVar("_left", default=STEPS)


class Unmatchable(Exception):
    """A pattern cannot be matched, or not in time; the message says why."""


@contextmanager
def limited() -> Iterator[None]:
    """Let the matches within take so many steps together, and no more."""
    before = _left.set(STEPS)
    try:
        yield
    finally:
        _left.reset(before)


@lru_cache(_CACHED)
def compiled(pattern: str) -> Any:
    """Return RE2's program for a pattern. Raises Unmatchable."""
    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    try:
        return re2.compile(_UNICODE.sub(r"\1\\x{\2}", pattern), options)
    except re2.error as error:
        said = error.args[0].decode(errors="replace")
        raise Unmatchable(f"is '{pattern}', no regular expression of RE2: {said}") from error


class _Engine:
    """What the library calls of Python's module `re`."""

    def search(self, pattern: str, text: str) -> object:
        """Return a match or None. Raises Unmatchable."""
        program = compiled(pattern)
        left = _left.get() - program.programsize * len(text)
        if left < 0:
            raise Unmatchable(f"takes too many steps to match '{pattern}': give it shorter texts")
        _left.set(left)
        return program.search(text)


def _over(engine: _Engine, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of the library as it is, but for `re`, there and in what it calls."""
    names = function.__globals__
    copy = FunctionType(function.__code__, {**names, "re": engine}, function.__name__)
    for name in function.__code__.co_names:
        called = names.get(name)
        if isinstance(called, FunctionType) and "re" in called.__globals__:
            copy.__globals__[name] = copy if called is function else _over(engine, called)
    return copy


def _of_its_own_class(validator: Any, **changes: Any) -> Any:
    """Return a validator for a schema within: with RE2 too, whatever its `$schema` says.

    The library's own `evolve` takes the class that it has for the dialect named there.
    """
    return attrs.evolve(validator, **changes)


_MATCHING: Final = ("pattern", "patternProperties", "additionalProperties", "unevaluatedProperties")
"""The keywords that match patterns; the last two, to know which properties are left over."""

LinearValidator: Final = validators.extend(
    Draft202012Validator,
    {name: _over(_Engine(), Draft202012Validator.VALIDATORS[name]) for name in _MATCHING},
)
"""JSON Schema 2020-12 as the library has it, with RE2 for its patterns, at every depth."""

LinearValidator.evolve = _of_its_own_class
