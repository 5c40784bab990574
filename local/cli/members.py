"""What a definition says beyond its trigger and its actions, for those who read it."""

import json
from typing import Any, Final

from local.cli.output import Json

_OF_WORKFLOWS: Final = (
    "overlap",
    "maxConcurrent",
    "maxBuffered",
    "pauseOnFailure",
    "concurrency",
    "timeout",
    "inputSchema",
)
_TOLD_ALREADY: Final = frozenset(
    {
        *("id", "type", "interval", "schedule", "timezone", "at", "nextRunAt"),
        *("status", "executionId", "nextAttemptAt", "retriesLeft", "running", "buffered"),
    }
)


def options_text(workflow: Json) -> str:
    """Return the members of a workflow and its only trigger that are not as by default."""
    own = {name: workflow[name] for name in _OF_WORKFLOWS if name in workflow}
    return _text(_further(workflow["trigger"]) | own)


def trigger_options_text(trigger: Json) -> str:
    """Return the members of one of several triggers that are not as by default."""
    return _text(_further(trigger))


def _further(trigger: Json) -> Json:
    return {name: value for name, value in trigger.items() if name not in _TOLD_ALREADY}


def _text(members: Json) -> str:
    return ", ".join(f"{name} {_value(value)}" for name, value in members.items())


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
