"""The executions this runner holds: how many there is room for, and until when each is its own."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime, timedelta

from prometheus_client import Gauge

from runner_svc.use_cases.holding import Holding
from shared.domain.execution import Execution


class InFlight:
    """Starts work on what was claimed, and knows of all work under way."""

    def __init__(self, capacity: int, gauge: Gauge) -> None:
        self._capacity = capacity
        self._gauge = gauge
        self._held: dict[str, tuple[Holding, asyncio.Task[None]]] = {}
        self._changed = asyncio.Event()

    @property
    def room(self) -> int:
        """How many more executions may be claimed."""
        return max(self._capacity - len(self._held), 0)

    @property
    def ids(self) -> frozenset[str]:
        """The executions under way."""
        return frozenset(self._held)

    def start(self, execution: Execution, run: Callable[[Holding], Awaitable[None]]) -> None:
        """Begin to run an execution that was claimed, in a task of its own."""
        holding = Holding.of(execution)
        task = asyncio.ensure_future(run(holding))
        self._held[execution.id] = (holding, task)
        self._gauge.set(len(self._held))
        task.add_done_callback(lambda _: self._ended(holding))

    def renewed(self, ids: Collection[str], until: datetime) -> None:
        """Note that the leases of `ids` run until `until`."""
        for execution_id in ids:
            if execution_id in self._held:
                self._held[execution_id][0].lease_until = until

    def abort(self, execution_id: str, token: str | None = None) -> bool:
        """Stop working on an execution, unless its outcome is being written; True if stopped.

        With a token, only if it is held under that one: a late word means an earlier claim.
        """
        held = self._held.get(execution_id)
        if held is None or held[0].recording:
            return False
        lease = held[0].execution.lease
        if token is not None and (lease is None or lease.token != token):
            return False
        return held[1].cancel()

    def abort_all(self) -> None:
        """Stop working on everything whose outcome is not being written."""
        for execution_id in self.ids:
            self.abort(execution_id)

    async def wait_for_room(self, wait: timedelta) -> None:
        """Return when there is room, or after `wait`."""
        await self._until(lambda: self.room > 0, wait)

    async def wait_until_empty(self, wait: timedelta) -> bool:
        """Return True when nothing is under way, or False after `wait`."""
        return await self._until(lambda: not self._held, wait)

    async def _until(self, condition: Callable[[], bool], wait: timedelta) -> bool:
        try:
            async with asyncio.timeout(wait.total_seconds()):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return condition()
        return True

    def _ended(self, holding: Holding) -> None:
        held = self._held.get(holding.execution.id)
        if held is not None and held[0] is holding:
            del self._held[holding.execution.id]
            self._gauge.set(len(self._held))
            self._changed.set()
