"""One execution of a workflow: its state, and the history of events that led to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from pydantic import JsonValue

from shared.domain.identity import shard_of
from shared.domain.pause import Pause


class Status(StrEnum):
    """Where an execution stands.

    `buffered` waits for a slot of its workflow; `pending` is in backoff; `waiting`, for a
    timer or a person.
    """

    BUFFERED = "buffered"
    QUEUED = "queued"
    RUNNING = "running"
    PENDING = "pending"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


HOLDING: Final = frozenset({Status.QUEUED, Status.RUNNING, Status.PENDING, Status.WAITING})
"""The statuses in which an execution holds a slot of its workflow."""

UNFINISHED: Final = HOLDING | {Status.BUFFERED}


class ActionStatus(StrEnum):
    """How far an action got.

    `started` is an intent, recorded before an at-most-once call; if its runner dies
    the action becomes `unknown`. `expanded` is a forEach whose items run. `pending`
    failed for now and is retried; `waiting` waits for its timer.
    """

    STARTED = "started"
    EXPANDED = "expanded"
    PENDING = "pending"
    WAITING = "waiting"
    UNKNOWN = "unknown"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"


ENDED: Final = frozenset({ActionStatus.COMPLETED, ActionStatus.FAILED, ActionStatus.SKIPPED})


class EventType(StrEnum):
    """What can happen to an execution."""

    QUEUED = "queued"
    BUFFERED = "buffered"
    PROMOTED = "promoted"
    SKIPPED = "skipped"
    CLAIMED = "claimed"
    RECOVERED = "recovered"
    RELEASED = "released"
    ACTION_STARTED = "action.started"
    ACTION_EXPANDED = "action.expanded"
    ACTION_COMPLETED = "action.completed"
    ACTION_FAILED = "action.failed"
    ACTION_SKIPPED = "action.skipped"
    ACTION_WAITING = "action.waiting"
    ACTION_UNKNOWN = "action.unknown"
    ACTION_RESOLVED = "action.resolved"
    ACTION_REUSED = "action.reused"
    RETRY_SCHEDULED = "retry.scheduled"
    WAITING = "waiting"
    COMPENSATION_STARTED = "compensation.started"
    CANCEL_REQUESTED = "cancel.requested"
    RETRIED = "retried"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ErrorCategory(StrEnum):
    """Why an action or execution failed, as far as it decides what happens next."""

    TRANSIENT = "transient"
    RECOVERABLE = "recoverable"
    PERMANENT = "permanent"
    OUTPUT_UNSERIALISABLE = "output-unserialisable"
    RUNNER_LOST = "runner-lost"
    TIMEOUT = "timeout"
    UNKNOWN_OUTCOME = "unknown-outcome"
    COMPENSATION_FAILED = "compensation-failed"

    @classmethod
    def _missing_(cls, value: object) -> "ErrorCategory | None":
        """Read what an earlier version stored."""
        return cls.RECOVERABLE if value == "retryable" else None


RETRIED: Final = frozenset({ErrorCategory.TRANSIENT, ErrorCategory.RECOVERABLE})
"""The categories that a retry policy applies to."""


class SkipReason(StrEnum):
    """Why an occurrence did not run."""

    OVERLAP = "overlap"
    MISSED = "missed"
    WINDOW = "window"
    DISABLED = "disabled"
    SUPERSEDED = "superseded"
    PAUSED = "paused"
    GAP = "gap"


class SkippedBecause(StrEnum):
    """Why an action did not run.

    The last two say that a failure kept it from running, which counts as a failure
    for the actions that need it; the first two do not.
    """

    CONDITION = "condition"
    NO_FAILURE = "no-failure"
    UPSTREAM = "upstream"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as it is kept: a category to decide by and a message to read."""

    category: ErrorCategory
    message: str


@dataclass(frozen=True, slots=True)
class Lease:
    """A runner's right to work on an execution until an instant, fenced by a token."""

    owner: str
    token: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Skip:
    """Why, and for which instants, nothing ran; of a pause, since when and why it was.

    A clock gap is one place on the timetable, from which to which it stands; its count is
    that of the local times which the gap swallowed, as these have no instants.
    """

    reason: SkipReason
    first: datetime
    last: datetime
    count: int
    paused: Pause | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """The end that an execution comes to once its compensations have run.

    `undoing` names the actions whose compensations run, the last to complete first.
    """

    status: Status
    undoing: tuple[str, ...]
    error: Failure | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """The execution that this one repeats, whole (`rerun`) or from an action on (`replay`)."""

    kind: str
    execution_id: str
    action: str | None = None


class ActionState(NamedTuple):
    """How far one action of an execution, or one item of a forEach, got.

    `next_attempt_at` is when it is called again (pending) or its timer ends (waiting).
    `items` is how many items a forEach has. A `tolerated` failure does not fail the
    execution. `ended_seq` is the number of the event that ended it.
    """

    status: ActionStatus
    attempts: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None
    output: JsonValue = None
    error: Failure | None = None
    next_attempt_at: datetime | None = None
    reason: str | None = None
    tolerated: bool = False
    items: int | None = None
    ended_seq: int = 0

    @property
    def ended(self) -> bool:
        """Tell whether nothing more happens to it by itself."""
        return self.status in ENDED

    @property
    def blocks(self) -> bool:
        """Tell whether what needs it counts it as a failure that nobody tolerates."""
        if self.status is ActionStatus.FAILED:
            return not self.tolerated
        return self.status is ActionStatus.SKIPPED and self.reason in _BLOCKING


class HistoryEvent(NamedTuple):
    """One thing that happened, numbered from 1 within its execution.

    It carries all that `apply` needs to know. `digest` is the fingerprint of `output`,
    which is stored once, with the state of the action. `tzdata` is the version of the
    zones' rules that made an occurrence of a calendar fall on its instant. `slot` is the
    one of its workflow that the execution takes, if it is another than the first;
    `place`, its place in the buffer.
    """

    seq: int
    type: EventType
    at: datetime
    action: str | None = None
    attempt: int | None = None
    runner: str | None = None
    started_at: datetime | None = None
    next_attempt_at: datetime | None = None
    error: Failure | None = None
    reason: str | None = None
    retries_left: int | None = None
    output: JsonValue = None
    digest: str | None = None
    items: int | None = None
    tolerated: bool = False
    undoing: tuple[str, ...] = ()
    deadline: datetime | None = None
    tzdata: str | None = None
    slot: int | None = None
    place: int | None = None


_BLOCKING: Final = frozenset({SkippedBecause.UPSTREAM, SkippedBecause.STOPPED})
_NEVER: Final = datetime.min.replace(tzinfo=UTC)
_NO_ACTIONS: Final[Mapping[str, ActionState]] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Execution:
    """The whole state of one execution.

    `wake_at` is when the scheduler looks at it again if nothing happens before;
    every unfinished execution has one. `attempt` and `retries_left` speak of the
    action that runs or runs next. `active_key` is set while it holds its workflow,
    `buffer_key` while it waits for that.
    `deadline` is when its timeout ends it. `ending` is set while compensations run.
    """

    id: str
    tenant: str
    workflow_id: str
    version: int
    trigger_id: str
    status: Status
    created_at: datetime
    scheduled_for: datetime | None = None
    input: JsonValue = None
    request_fingerprint: str | None = None
    origin: Origin | None = None
    deadline: datetime | None = None
    attempt: int = 1
    retries_left: int = 0
    recoveries: int = 0
    resends: int = 0
    seq: int = 0
    wake_at: datetime | None = None
    next_attempt_at: datetime | None = None
    lease: Lease | None = None
    last_token: str | None = None
    active_key: str | None = None
    buffer_key: str | None = None
    actions: Mapping[str, ActionState] = field(default_factory=lambda: _NO_ACTIONS)
    error: Failure | None = None
    ending: Ending | None = None
    skip: Skip | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    expires_at: datetime | None = None
    history: tuple[HistoryEvent, ...] = ()

    def evolve(self, **changes: Any) -> "Execution":
        """Return a copy with some attributes changed.

        It does what `dataclasses.replace` does in a fifth of the time; with several
        steps per execution, that is a tenth of a runner's work. (So no `slots`.)
        """
        state = {**self.__dict__, **changes}
        if len(state) != len(self.__dict__):
            raise TypeError(f"no such attributes: {changes.keys() - self.__dict__.keys()}")
        copy = object.__new__(Execution)
        object.__setattr__(copy, "__dict__", state)
        return copy

    @property
    def shard(self) -> int:
        """The part of the due work it belongs to: that of its workflow."""
        return shard_of(self.tenant, self.workflow_id)

    @property
    def age(self) -> tuple[datetime, datetime, str]:
        """What executions of a workflow are ordered by: when they came, and for which instant."""
        return self.created_at, self.scheduled_for or _NEVER, self.id

    @property
    def is_backfill(self) -> bool:
        """Whether it runs an instant after the fact: run 0 in an id is that of the schedule."""
        return self.scheduled_for is not None and not self.id.endswith(":0")

    @property
    def lateness(self) -> timedelta | None:
        """How long after its instant (or its trigger) the first action could start."""
        if self.started_at is None:
            return None
        return max(self.started_at - (self.scheduled_for or self.created_at), timedelta())

    def is_completed(self, action_id: str) -> bool:
        """Tell whether an action's success is recorded, so that it never runs again."""
        state = self.actions.get(action_id)
        return state is not None and state.status is ActionStatus.COMPLETED
