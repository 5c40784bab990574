"""The action `log`: a line in the runner's log and in the execution's history."""

import logging
from typing import Final

import structlog
from pydantic import JsonValue

from shared.domain.actions import LOG, LogAction
from shared.ports.actions import Action, ActionContext

log = structlog.get_logger("action.log")
_LEVELS: Final = {name.lower(): number for name, number in logging.getLevelNamesMapping().items()}


async def write_line(params: LogAction, context: ActionContext) -> JsonValue:
    """Log the message at its level; the output repeats it for the history."""
    log.log(
        _LEVELS[params.level],
        "action.log",
        message=params.message,
        workflowId=context.workflow_id,
        executionId=context.execution_id,
        action=context.action_id,
    )
    return {"message": params.message, "level": params.level}


LOG_LINE = Action.of(LOG, write_line)
