"""The calls of one execution that are under way."""

import asyncio
from collections.abc import Collection, Coroutine
from datetime import datetime
from typing import Any

from shared.domain.outcomes import Attempt
from shared.ports.clock import Clock


class Flights:
    """Runs calls side by side, each in a task of its own, and gathers what they led to."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[Attempt]] = {}

    @property
    def keys(self) -> Collection[str]:
        """The keys of the calls under way."""
        return self._tasks.keys()

    def start(self, key: str, calling: Coroutine[Any, Any, Attempt]) -> None:
        """Begin a call."""
        self._tasks[key] = asyncio.ensure_future(calling)

    async def landed(self, until: datetime | None) -> list[Attempt]:
        """Return what has ended, at least one; or nothing, once it is `until`."""
        waiting: set[asyncio.Future[Any]] = set(self._tasks.values())
        alarm = None
        if until is not None:
            alarm = asyncio.ensure_future(self._clock.sleep_until(until))
            waiting.add(alarm)
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if alarm is not None:
                alarm.cancel()
        ended = [key for key, task in self._tasks.items() if task.done()]
        return [self._tasks.pop(key).result() for key in ended]

    async def abort(self) -> None:
        """End what is under way, and wait until it has ended."""
        tasks = list(self._tasks.values())
        if not tasks:
            return
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
