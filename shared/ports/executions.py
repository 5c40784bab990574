"""What the core needs of the place where executions are kept."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from shared.domain.execution import Execution, Lease, Status
from shared.domain.overlap import Crowd


class AddOutcome(Enum):
    """What became of an execution that was to be added."""

    ADDED = "added"
    DUPLICATE = "duplicate"
    """An execution with this id is there already; it wins over `BUSY`."""
    BUSY = "busy"
    """Another execution has that slot, or that place (the same `active_key` or `buffer_key`)."""


class RecordOutcome(Enum):
    """What became of a change."""

    APPLIED = "applied"
    REFUSED = "refused"
    """The execution moved on in the meantime (another token, another seq); nothing changed."""
    UNSERIALISABLE = "unserialisable"
    """The new state holds something that cannot be stored; nothing changed."""
    BUSY = "busy"
    """Another execution holds the slot (the `active_key` of `after`); nothing changed."""


@dataclass(frozen=True, slots=True)
class Change:
    """A state that was read, and the state that shall follow it."""

    before: Execution
    after: Execution


@dataclass(frozen=True, slots=True)
class Claim:
    """What a runner won, and how many of the ids it asked for do not exist.

    `recovered` of those won were taken over from a runner that had let its lease end.
    """

    won: tuple[Execution, ...]
    unknown: int
    recovered: int = 0


@dataclass(frozen=True, slots=True)
class Wake:
    """An unfinished execution that is to be looked at, at `wake_at`.

    One that is `buffered` cannot be claimed: its workflow is looked at instead.
    """

    id: str
    tenant: str
    workflow_id: str
    wake_at: datetime
    resends: int
    buffered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionQuery:
    """Which executions to list, newest first. `after` is the last one of the page before."""

    tenant: str
    workflow_id: str | None = None
    statuses: frozenset[Status] = frozenset()
    created_from: datetime | None = None
    created_to: datetime | None = None
    after: tuple[datetime, str] | None = None
    limit: int = 50


class ExecutionRepository(Protocol):
    """Keeps executions. Every method raises Unavailable when the storage does not answer.

    A write that returned is durable. Ids, active keys and buffer keys are unique, and that
    uniqueness is what decides races; no method reads first and writes later.
    """

    async def add(self, executions: Sequence[Execution]) -> list[AddOutcome]:
        """Add each execution on its own; outcomes come in the order given."""
        ...

    async def claim(self, ids: Sequence[str], lease: Lease, now: datetime) -> Claim:
        """Give the claimable ones among `ids` to the owner of `lease`.

        Claimable is `transitions.is_claimable`, the new state is
        `transitions.claim`. Repeating a call with the same token is harmless: it
        also returns what an earlier call with that token won. What is won may
        come without `history`.
        """
        ...

    async def renew(self, owner: str, ids: Collection[str], until: datetime) -> frozenset[str]:
        """Move `lease.until` and `wake_at` of those of `ids` that `owner` runs; return the others.

        The others are no longer the owner's: finished, cancelled or claimed elsewhere.
        """
        ...

    async def record(self, changes: Sequence[Change]) -> list[RecordOutcome]:
        """Apply each change on its own, provided its `before` is still the stored state.

        "Still" means the same `seq` and, where `before` has a lease, the same
        token; a lease that was renewed meanwhile is no obstacle. A change that an
        earlier call applied, although its reply was lost, reads as APPLIED.
        The events that `after` has beyond those of `before` are appended.
        Of refusals REFUSED comes before BUSY.
        At most one change per execution in a call.
        """
        ...

    async def due(
        self, horizon: datetime, shards: Collection[int] | None, limit: int
    ) -> list[Wake]:
        """Return unfinished executions with `wake_at` at or before `horizon`, earliest first."""
        ...

    async def postpone(
        self, wakes: Sequence[Wake], now: datetime, until: datetime, *, resend: bool
    ) -> list[Wake]:
        """Move `wake_at` of those still due at `now` to `until`; return those it moved.

        With `resend`, also count it in `resends`. Of several schedulers that
        postpone the same execution at once, normally one is told that it moved it.
        """
        ...

    async def get(self, tenant: str, execution_id: str) -> Execution | None:
        """Return one execution, or None."""
        ...

    async def find(self, query: ExecutionQuery) -> list[Execution]:
        """Return at most `query.limit` executions, newest first, as summaries.

        A summary lacks `history`, `actions` and `input`.
        """
        ...

    async def find_whole(self, query: ExecutionQuery) -> list[Execution]:
        """Return what `find` returns, but whole, with history, actions and input."""
        ...

    async def active(self, active_keys: Collection[str]) -> Mapping[str, Execution]:
        """Return the unfinished execution of each active key that has one, as a summary."""
        ...

    async def crowds(self, workflow_keys: Collection[str]) -> Mapping[str, Crowd]:
        """Return what is taken of each of some workflows that has unfinished executions."""
        ...

    async def buffered(self, workflow_key: str, limit: int) -> list[Execution]:
        """Return at most `limit` buffered executions of a workflow, in the order they came.

        They lack `history` and `input`.
        """
        ...

    async def orphans(self) -> int:
        """Count unfinished executions without `wake_at`. Any number but 0 is a bug."""
        ...
