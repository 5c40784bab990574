"""What the core needs in order to tell the outside of lifecycle events, at least once."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from shared.domain.execution import Execution
from shared.domain.lifecycle import LifecycleEvent


class EventPublisher(Protocol):
    """Sends lifecycle events to whoever subscribes."""

    async def publish_events(self, events: Sequence[LifecycleEvent]) -> None:
        """Return when the bus has accepted all of them; raise Unavailable otherwise.

        Events of one workflow that are handed in together, or one after the other,
        keep their order.
        """
        ...


@dataclass(frozen=True, slots=True)
class Watermark:
    """A process's word: of what I recorded, all that happened before `published_until` is out.

    The word holds as long as it is kept. If `beat_until` has passed, the process is gone,
    and what happened from `published_until` on is to be published from storage.
    `revision` counts the process's words; `retention` is how long it keeps what has ended.
    """

    publisher: str
    published_until: datetime
    beat_until: datetime
    revision: int
    retention: timedelta


class WatermarkRepository(Protocol):
    """Keeps the watermark of every process that records. Every method raises Unavailable.

    A write that returned is durable, and whatever was durable before it is seen by
    every read that begins after it.
    """

    async def save(self, mark: Watermark) -> None:
        """Keep `mark`, unless one of the same publisher with a higher revision is there."""
        ...

    async def remove(self, publisher: str) -> None:
        """Forget a publisher: everything it recorded is out."""
        ...

    async def lapsed(self, now: datetime, limit: int) -> list[Watermark]:
        """Return watermarks whose beat ended before `now`, those that ended first before others."""
        ...

    async def take_over(self, mark: Watermark, until: datetime) -> Watermark | None:
        """Take over a watermark as it was read, until an instant; None if it is no longer so."""
        ...

    async def settle(self, mark: Watermark) -> None:
        """Remove a watermark that was taken over, unless its publisher came back meanwhile."""
        ...

    async def shortest_retention(self) -> timedelta | None:
        """Return the shortest retention that any watermark names, None if there are none."""
        ...


class ExecutionArchive(Protocol):
    """Finds executions by when something happened to them."""

    def touched(
        self, since: datetime, shortest_retention: timedelta
    ) -> AsyncIterator[Sequence[Execution]]:
        """Yield, page by page, all executions with an event at or after `since`, with history.

        A page may be empty, and an execution may come twice. Finished executions are found
        if they are kept for at least `shortest_retention`. Raises Unavailable.
        """
        ...
