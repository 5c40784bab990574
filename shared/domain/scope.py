"""What expressions may refer to: `input`, `actions`, `execution`, `workflow`, `env` and items."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from pydantic import JsonValue

from shared.domain.execution import ActionState, Execution
from shared.domain.instants import format_instant
from shared.domain.items import output_of
from shared.domain.plan import Plan

VARIABLES: Final = frozenset({"input", "actions", "execution", "workflow", "env"})
ITEM_VARIABLES: Final = frozenset({"item", "index"})


def scope_of(
    plan: Plan, execution: Execution, key: str, environment: Mapping[str, str]
) -> dict[str, JsonValue]:
    """Return the values that the expressions of an action see.

    Of other actions it sees those that come before it, so what it sees does not
    depend on how fast others happen to run.
    """
    return {
        "input": execution.input,
        "actions": {
            before: _outcome(execution, before, execution.actions[before])
            for before in plan.upstream(key)
            if before in execution.actions
        },
        "execution": {
            "id": execution.id,
            "trigger": execution.trigger_id,
            "createdAt": format_instant(execution.created_at),
            "scheduledFor": _instant(execution.scheduled_for),
        },
        "workflow": {"id": execution.workflow_id, "version": execution.version},
        "env": dict(environment),
    }


def _outcome(execution: Execution, action_id: str, state: ActionState) -> JsonValue:
    error: JsonValue = None
    if state.error is not None:
        error = {"category": state.error.category.value, "message": state.error.message}
    return {
        "status": state.status.value,
        "output": output_of(execution, action_id),
        "error": error,
    }


def _instant(value: datetime | None) -> JsonValue:
    return None if value is None else format_instant(value)
