"""The clock of a running service, and the only place that reads the machine's wall clock."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from shared.domain.instants import instant

_TICK = timedelta(milliseconds=1)


class SystemClock:
    """Monotonic time plus an offset.

    The offset comes from the machine's clock once, at the start, and from then
    on from the database's, through `follow`. So all services agree, and a
    machine whose clock is wrong or is set neither fires early nor takes leases.
    """

    def __init__(self) -> None:
        self._offset = datetime.now(UTC) - _elapsed()

    def now(self) -> datetime:
        """See Clock.now."""
        return instant(self._offset + _elapsed())

    async def sleep_until(self, instant: datetime) -> None:
        """See Clock.sleep_until."""
        while (left := (instant - self._offset - _elapsed()).total_seconds()) > 0:
            await asyncio.sleep(left)

    async def follow(self, read: Callable[[], Awaitable[datetime]], samples: int = 5) -> timedelta:
        """Adopt another clock's time; return by how much this one was off.

        `read` returns the other clock's time, cut to whole milliseconds. Each
        sample bounds the offset: the true time lay between the reply's instant
        and one millisecond later, somewhere between asking and hearing. The
        offset is taken from the middle of where the bounds overlap, or of the
        tightest one where the other clock stepped in between.
        """
        bounds = [await _bounds(read) for _ in range(samples)]
        low, high = max(low for low, _ in bounds), min(high for _, high in bounds)
        if low > high:
            low, high = min(bounds, key=lambda bound: bound[1] - bound[0])
        offset = low + (high - low) / 2
        difference, self._offset = offset - self._offset, offset
        return difference


async def _bounds(read: Callable[[], Awaitable[datetime]]) -> tuple[datetime, datetime]:
    asked = _elapsed()
    told = await read()
    heard = _elapsed()
    return told - heard, told + _TICK - asked


def _elapsed() -> timedelta:
    return timedelta(seconds=time.monotonic())
