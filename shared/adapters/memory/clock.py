"""A clock that moves only when it is told to."""

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Final

from shared.domain.instants import instant

EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)


class ManualClock:
    """A Clock for tests and simulations: time stands still between calls of `advance`."""

    def __init__(self, start: datetime = EPOCH) -> None:
        self._now = instant(start)
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._order = count()

    def now(self) -> datetime:
        """Return the instant the clock stands at."""
        return self._now

    async def sleep_until(self, instant: datetime) -> None:
        """Return once the clock was advanced to `instant`."""
        if instant <= self._now:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (instant, next(self._order), woken))
        await woken

    async def advance(self, step: timedelta) -> None:
        """Move forward by `step`, stopping at every instant that somebody sleeps until."""
        target = self._now + step
        while self._sleepers and self._sleepers[0][0] <= target:
            due, _, woken = heapq.heappop(self._sleepers)
            self._now = max(self._now, due)
            if not woken.done():
                woken.set_result(None)
            await settle()
        self._now = target
        await settle()

    def leap_to(self, instant: datetime) -> None:
        """Stand at `instant` at once, for one who knows that nobody sleeps until then."""
        if self._sleepers:
            raise ValueError("somebody sleeps, and would not be woken")
        self._now = instant


async def settle(rounds: int = 20) -> None:
    """Let every task that can run now run, as far as it gets without waiting for IO."""
    for _ in range(rounds):
        await asyncio.sleep(0)
