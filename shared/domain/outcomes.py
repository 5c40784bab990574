"""What a call of an action led to, and the waits and limits that decisions about it use."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pydantic import JsonValue

from shared.domain.definition import ActionDefinition
from shared.domain.execution import ErrorCategory, Failure
from shared.domain.storable import storable_text

MAX_MESSAGE: Final = 2_000
"""Characters that are kept of an error's message."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The waits and limits that the core decides with; each is a setting."""

    lease: timedelta = timedelta(seconds=30)
    resend: timedelta = timedelta(seconds=30)
    resend_max: timedelta = timedelta(minutes=5)
    retention: timedelta = timedelta(days=30)
    max_recoveries: int = 5


def resend_delay(resends: int, timing: Timing) -> timedelta:
    """Return how long to wait before a queued execution is announced once more."""
    doubled: int = 1 << min(resends, 30)
    return min(timing.resend * doubled, timing.resend_max)


@dataclass(frozen=True, slots=True)
class Call:
    """One call that is to be made: of an action, or of one item of a forEach.

    `key` names its state in the execution; a forEach without items yet is called to get them.
    """

    action: ActionDefinition
    key: str
    attempt: int
    index: int | None = None

    @property
    def expands(self) -> bool:
        """Tell whether this call is to find out the items of a forEach."""
        return self.action.for_each is not None and self.index is None


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The call did its work; `output` is what it returned."""

    output: JsonValue


@dataclass(frozen=True, slots=True)
class Failed:
    """The call did not do its work; a retryable one may ask for a wait."""

    category: ErrorCategory
    message: str
    retry_after: timedelta | None = None

    @property
    def failure(self) -> Failure:
        """The error as it is kept."""
        return Failure(self.category, storable_text(self.message[:MAX_MESSAGE]))


@dataclass(frozen=True, slots=True)
class NotWanted:
    """The action's `when` was false, so it was not called."""


@dataclass(frozen=True, slots=True)
class Expanded:
    """A forEach has so many items."""

    count: int


@dataclass(frozen=True, slots=True)
class WaitsUntil:
    """The action completes by itself at an instant; nobody has to hold it until then."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Uncertain:
    """Whether the call had its effect is not known, and it must not be repeated."""

    message: str


Outcome = Succeeded | Failed | NotWanted | Expanded | WaitsUntil | Uncertain


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call: when it began, when it ended and how."""

    call: Call
    started_at: datetime
    ended_at: datetime
    outcome: Outcome


def item_key(action_id: str, index: int) -> str:
    """Return the key of one item of a forEach."""
    return f"{action_id}[{index}]"


def action_of(key: str) -> str:
    """Return the id of the action that a key, perhaps of one of its items, belongs to."""
    return key.partition("[")[0]
