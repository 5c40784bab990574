"""Expressions in the strings of a JSON value: finding, checking and replacing them.

What an expression may refer to when an action runs:

- `input`: what the execution was triggered with
- `actions.ID.output`, `.status`, `.error`: the actions that come before this one
- `execution`: `id`, `createdAt`, `scheduledFor`, `trigger`
- `workflow`: `id`, `version`
- `env.NAME`: the environment variables that the setting EXPRESSION_ENV allows
- `item` and `index`: within a `forEach`
"""

import json
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from shared.domain.errors import EvaluationFailed, FieldProblem, InvalidExpression
from shared.domain.references import Compiler, Path, References, names_under
from shared.domain.secrets import SECRET_REFERENCE
from shared.domain.splitting import Embedded, Part, has_marks, split
from shared.domain.storable import escape

ATTRIBUTES: Final = ("output", "status", "error")
_OPENING: Final = "${secret:"
_UNFINISHED: Final = re.compile(r"\$\{secret:[^}]*\Z")
_FORGED: Final = "the result contains a secret reference, which only a definition may write"
_BROKEN: Final = "has an expression within a secret reference; write its name out"

Evaluate = Callable[[str], JsonValue]


def has_expressions(value: JsonValue) -> bool:
    """Tell whether `render` would change anything in a value, or fail."""
    if isinstance(value, str):
        return has_marks(value)
    if isinstance(value, list):
        return any(map(has_expressions, value))
    if isinstance(value, dict):
        return any(map(has_expressions, value.values()))
    return False


def expressions_in(value: JsonValue, pointer: str = "") -> Iterator[tuple[str, str]]:
    """Yield each expression's text after the JSON pointer of the string that holds it.

    Raises InvalidExpression at a string that `split` refuses.
    """
    for place, text in _templates_in(value, pointer):
        yield from ((place, part.source) for part in split(text) if isinstance(part, Embedded))


def render(value: JsonValue, evaluate: Evaluate) -> JsonValue:
    """Return a value with the expressions in its strings replaced by what they yield.

    A string that is one expression and nothing else becomes that value, of any
    type. In a longer text a string stands as it is, anything else as compact
    JSON. Keys of objects are not looked at.

    Raises what `evaluate` and `split` raise, and EvaluationFailed if a result
    would form a reference to a secret, alone or together with what is around it.
    """
    if isinstance(value, str):
        return _render_text(value, evaluate) if has_marks(value) else value
    if isinstance(value, list):
        return [render(item, evaluate) for item in value]
    if isinstance(value, dict):
        return {key: render(item, evaluate) for key, item in value.items()}
    return value


def check_expressions(
    value: JsonValue,
    language: Compiler,
    *,
    allowed_variables: Collection[str],
    upstream: Collection[str],
    known: Collection[str],
    env_allowed: Collection[str],
    pointer: str = "",
) -> list[FieldProblem]:
    """Return what is wrong with the expressions in a value, as far as their text tells.

    `known` are the ids of all actions of the workflow, `upstream` those that
    have ended before this one starts. What is looked up by a computed name, such
    as `actions[input.which]`, is left to run time.
    """
    surroundings = Surroundings(
        frozenset(allowed_variables), frozenset(upstream), frozenset(known), frozenset(env_allowed)
    )
    return [
        FieldProblem(place, problem)
        for place, text in _templates_in(value, pointer)
        for problem in _problems_of_text(text, language, surroundings)
    ]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an expression may refer to where it stands."""

    variables: frozenset[str]
    upstream: frozenset[str]
    known: frozenset[str]
    env: frozenset[str]

    def problems_with(self, used: References) -> Iterator[str]:
        """Say what is used that is not there."""
        for name in sorted(used.variables - self.variables):
            yield f"there is no variable '{name}'; there are {_listed(self.variables)}"
        if "actions" in self.variables:
            for name in sorted(used.actions - self.upstream):
                yield self._problem_with_action(name)
            yield from _problems_with_attributes(used.paths)
        if "env" in self.variables:
            for name in sorted(names_under("env", used.paths) - self.env):
                yield (
                    f"'env.{name}' is not allowed: the setting EXPRESSION_ENV lists "
                    f"{_listed(self.env)}"
                )

    def _problem_with_action(self, name: str) -> str:
        if name in self.known:
            return f"'{name}' does not come before this action: add it to needs"
        meant = min((other for other in self.known if other.startswith(f"{name}-")), default=None)
        if meant:
            return (
                f"there is no action '{name}'; an id with '-' is written in brackets: "
                f'actions["{meant}"]'
            )
        return f"there is no action '{name}'"


def _problems_with_attributes(paths: Collection[Path]) -> Iterator[str]:
    named = {path[1:3] for path in paths if path[0] == "actions" and len(path) > 2}  # noqa: PLR2004
    for action, attribute in sorted(named):
        if attribute not in ATTRIBUTES:
            yield f"an action has no '{attribute}' (of '{action}'), only {_listed(ATTRIBUTES)}"


def _problems_of_text(text: str, language: Compiler, there: Surroundings) -> Iterator[str]:
    try:
        parts = split(text)
    except InvalidExpression as error:
        yield error.reason
        return
    if any(map(_breaks_reference, parts, parts[1:])):
        yield _BROKEN
    for part in parts:
        if isinstance(part, Embedded):
            yield from _problems_of_expression(part.source, language, there)


def _problems_of_expression(source: str, language: Compiler, there: Surroundings) -> Iterator[str]:
    try:
        used = language.compile(source)
    except InvalidExpression as error:
        yield str(error)
        return
    for problem in there.problems_with(used):
        yield str(InvalidExpression(source, problem))


def _breaks_reference(part: Part, following: Part) -> bool:
    """Tell whether an expression stands where the name of a secret has begun."""
    return (
        isinstance(part, str)
        and isinstance(following, Embedded)
        and _UNFINISHED.search(part) is not None
    )


def _templates_in(value: JsonValue, pointer: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        if has_marks(value):
            yield pointer, value
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _templates_in(item, f"{pointer}/{position}")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _templates_in(item, f"{pointer}/{escape(key)}")


def _render_text(text: str, evaluate: Evaluate) -> JsonValue:
    parts = split(text)
    if len(parts) == 1 and isinstance(parts[0], Embedded):
        return _without_references(evaluate(parts[0].source), parts[0].source)
    rendered = "".join(_shown(part, evaluate) for part in parts)
    literals = [part for part in parts if isinstance(part, str)]
    if _references_in([rendered]) != _references_in(literals):
        first = next(part for part in parts if isinstance(part, Embedded))
        raise EvaluationFailed(first.source, _FORGED)
    return rendered


def _references_in(texts: list[str]) -> tuple[int, list[str]]:
    """Return how many references open in some texts, and the names of those that are whole."""
    names = [name for text in texts for name in SECRET_REFERENCE.findall(text)]
    return sum(text.count(_OPENING) for text in texts), names


def _without_references(value: JsonValue, source: str) -> JsonValue:
    """Return a value, or raise EvaluationFailed if any text or key in it has a reference."""
    if isinstance(value, str) and _OPENING in value:
        raise EvaluationFailed(source, _FORGED)
    if isinstance(value, list):
        for item in value:
            _without_references(item, source)
    elif isinstance(value, dict):
        for key, item in value.items():
            _without_references(key, source)
            _without_references(item, source)
    return value


def _shown(part: Part, evaluate: Evaluate) -> str:
    if isinstance(part, str):
        return part
    value = evaluate(part.source)
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _listed(names: Collection[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names)) or "none"
