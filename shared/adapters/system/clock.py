"""The clock of a running service, and the only place that reads the machine's wall clock."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

_MILLISECOND: Final = 1_000_000
_SECOND: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class SystemClock:
    """Monotonic time plus an offset, in nanoseconds.

    The offset comes from the machine's clock once, at the start, and from then
    on from the database's, through `follow`. So all services agree, and a
    machine whose clock is wrong or is set neither fires early nor takes leases.
    """

    def __init__(self) -> None:
        self._offset = time.time_ns() - time.monotonic_ns()
        self._last = 0, _EPOCH

    def now(self) -> datetime:
        """See Clock.now. A busy service asks several times within one millisecond."""
        milliseconds = (self._offset + time.monotonic_ns()) // _MILLISECOND
        known, instant = self._last
        if milliseconds != known:
            instant = datetime.fromtimestamp(milliseconds / 1000, UTC)
            self._last = milliseconds, instant
        return instant

    async def sleep_until(self, instant: datetime) -> None:
        """See Clock.sleep_until."""
        target = _nanoseconds(instant)
        while (left := target - self._offset - time.monotonic_ns()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left / _SECOND)

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
        offset = (low + high) // 2
        difference, self._offset = offset - self._offset, offset
        return timedelta(microseconds=difference / 1000)


async def _bounds(read: Callable[[], Awaitable[datetime]]) -> tuple[int, int]:
    asked = time.monotonic_ns()
    told = _nanoseconds(await read())
    heard = time.monotonic_ns()
    return told - heard, told + _MILLISECOND - asked


def _nanoseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1) * 1000
