"""The Common Expression Language (https://cel.dev), by the Rust library behind `cel`."""

import logging
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Final

import cel
from pydantic import JsonValue

from shared.adapters.cel import reasons
from shared.adapters.cel.functions import ADDED, NATIVE
from shared.adapters.cel.metering import WORK, Meter, metered, sites_of
from shared.adapters.cel.picking import pick, tree_of, value_at
from shared.adapters.cel.plain import NotJson, check_plain, plain
from shared.adapters.cel.reading import NAMESPACES, Reading
from shared.domain.errors import EvaluationFailed, InvalidExpression
from shared.domain.references import Path, names_under, variables_of

MAX_SOURCE: Final = 4_096
CACHED: Final = 4_096


class CelExpression:
    """A compiled expression; see `shared.ports.expressions.Expression`."""

    def __init__(self, source: str, reading: Reading, functions: Collection[str]) -> None:
        self.source: Final = source
        self.paths: Final[frozenset[Path]] = reading.paths()
        self.variables: Final = variables_of(self.paths)
        self.actions: Final = names_under("actions", self.paths)
        self._program: Final = _compiled(source, metered(reading) if reading.macros else source)
        self._sites: Final = sites_of(reading)
        self._functions: Final = {name: ADDED[name] for name in functions if name in ADDED}
        self._tree: Final = tree_of(self.paths)

    def evaluate(self, scope: Mapping[str, JsonValue]) -> JsonValue:
        """Return the value in `scope`, or raise EvaluationFailed."""
        picked = pick(scope, self._tree)
        try:
            for path in self.paths:
                check_plain(value_at(picked, path))
            meter = Meter(self._sites, lambda path: value_at(picked, path))
            result = self._execute(picked, meter)
            if meter.spent:
                said = f"takes more than {WORK} steps: give it shorter lists, or fewer loops"
                raise EvaluationFailed(self.source, said)
            return plain(result)
        except NotJson as error:
            raise EvaluationFailed(self.source, str(error)) from error

    def _execute(self, variables: dict[str, JsonValue], meter: Meter) -> object:
        functions = {**self._functions, **(meter.functions() if self._sites else {})}
        try:
            return self._program.execute(cel.Context(variables, functions))
        except BaseException as error:
            if not _is_the_librarys(error):
                raise
            if meter.spent:
                return None
            raise EvaluationFailed(self.source, reasons.of_failure(error)) from error


class CelLanguage:
    """CEL, with the last expressions kept compiled; see `shared.ports.expressions`."""

    def __init__(self) -> None:
        # The library warns of every function that refuses its arguments; the caller is told.
        logging.getLogger("cel").disabled = True
        self._cached: Final[Callable[[str], CelExpression]] = lru_cache(CACHED)(_compile)

    def compile(self, source: str) -> CelExpression:
        """Return the expression, or raise InvalidExpression."""
        return self._cached(source)


def _compile(source: str) -> CelExpression:
    if not source.strip():
        raise InvalidExpression(source, "is empty")
    if len(source) > MAX_SOURCE:
        said = f"has {len(source)} characters; at most {MAX_SOURCE} are allowed"
        raise InvalidExpression(source, said)
    reading = Reading(source)
    _compiled(source, source)
    expression = CelExpression(source, reading, _functions_of(reading))
    if not expression.variables:
        _check_constant(expression)
    return expression


def _functions_of(reading: Reading) -> set[str]:
    """Return the functions that are called; raise InvalidExpression for an unknown one."""
    called = set()
    for position, name in reading.calls():
        owner = reading.owner(position)
        full = f"{owner}.{name}" if owner in NAMESPACES else name
        if full not in NATIVE and full not in ADDED:
            raise InvalidExpression(reading.source, f"there is no function '{full}'")
        called.add(full)
    return called


def _check_constant(expression: CelExpression) -> None:
    """An expression without variables either has a value or never will."""
    try:
        expression.evaluate({})
    except EvaluationFailed as error:
        raise InvalidExpression(error.source, error.reason) from error


def _compiled(source: str, text: str) -> cel.Program:
    try:
        return cel.compile(text)
    except BaseException as error:
        if not _is_the_librarys(error):
            raise
        raise InvalidExpression(source, reasons.of_syntax(error, text)) from error


def _is_the_librarys(error: BaseException) -> bool:
    """A panic in the library is no Exception, and its class cannot be imported."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"
