"""A workflow that an operator, or a run of failures, has halted: since when, and why."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

MAX_REASON: Final = 500
"""Characters of a reason."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Since when a workflow's schedule stands still, and the reason that was given."""

    since: datetime
    reason: str
