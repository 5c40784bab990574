"""What falls due before the next poll, in the order in which it falls due."""

import heapq
from collections.abc import Hashable
from datetime import datetime
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Agenda(Generic[T]):
    """A heap of items by instant. An item that is on it already is not put on it again."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, T]] = []
        self._known: set[T] = set()
        self._order = count()

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def next_instant(self) -> datetime | None:
        """When the earliest item is due, or None if there is none."""
        return self._heap[0][0] if self._heap else None

    def put(self, at: datetime, item: T) -> None:
        """Put an item on the agenda for an instant."""
        if item not in self._known:
            self._known.add(item)
            heapq.heappush(self._heap, (at, next(self._order), item))

    def take_due(self, now: datetime, limit: int) -> list[T]:
        """Take off up to `limit` items that are due at `now`, earliest first."""
        taken: list[T] = []
        while self._heap and self._heap[0][0] <= now and len(taken) < limit:
            item = heapq.heappop(self._heap)[2]
            self._known.discard(item)
            taken.append(item)
        return taken
