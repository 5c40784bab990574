"""Checking the expressions of a whole definition before it is accepted."""

from collections.abc import Collection, Iterator

from pydantic import JsonValue

from shared.domain.catalogue import parameters
from shared.domain.definition import ActionDefinition, WorkflowDefinition
from shared.domain.errors import FieldProblem, InvalidExpression, InvalidInput
from shared.domain.plan import Plan
from shared.domain.references import Compiler
from shared.domain.scope import ITEM_VARIABLES, VARIABLES
from shared.domain.splitting import split
from shared.domain.templates import check_expressions


def check_data_flow(
    definition: WorkflowDefinition, language: Compiler, env_allowed: Collection[str]
) -> None:
    """Raise InvalidInput naming every expression that cannot work, as far as its text tells."""
    plan = Plan(definition)
    problems: list[FieldProblem] = []
    for position, action in enumerate(definition.actions):
        pointer = f"/actions/{position}"
        problems += _problems_of(plan, action, language, env_allowed, pointer)
        for number, undo in enumerate(action.compensate):
            place = f"{pointer}/compensate/{number}"
            problems += _problems_of(plan, undo, language, env_allowed, place)
    if problems:
        raise InvalidInput(problems)


def _problems_of(
    plan: Plan,
    action: ActionDefinition,
    language: Compiler,
    env_allowed: Collection[str],
    pointer: str,
) -> Iterator[FieldProblem]:
    items = action.for_each.items if action.for_each else None
    in_items = VARIABLES | ITEM_VARIABLES if action.for_each else VARIABLES
    places: list[tuple[str, JsonValue, Collection[str]]] = [
        (pointer, dict(parameters(action)), in_items),
        (f"{pointer}/when", action.when, VARIABLES),
        (f"{pointer}/forEach/items", items, VARIABLES),
    ]
    for place, value, variables in places:
        yield from check_expressions(
            value,
            language,
            allowed_variables=variables,
            upstream=plan.upstream(action.key),
            known=plan.order,
            env_allowed=env_allowed,
            pointer=place,
        )
    for place, value, _ in places[1:]:
        if isinstance(value, str) and not _is_one_expression(value):
            yield FieldProblem(place, "must be one expression, as in '${ input.list }'")


def _is_one_expression(text: str) -> bool:
    try:
        return len(split(text)) == 1
    except InvalidExpression:
        return True
