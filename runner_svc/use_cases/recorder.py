"""Writing outcomes in batches: whatever gathers while one write is under way goes into the next."""

import asyncio
from collections import deque
from datetime import timedelta
from typing import Final

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, wait_exponential

from runner_svc.metrics import RunnerMetrics
from shared.domain.errors import Unavailable
from shared.ports.executions import Change, ExecutionRepository, RecordOutcome

log = structlog.get_logger(__name__)
_LONGEST_WAIT: Final = timedelta(seconds=2)


class Recorder:
    """Records changes; each caller waits only for its own.

    While the storage is away it keeps trying: the outcome of work that was done
    must not be lost, and the fence keeps a late write from doing harm.
    """

    def __init__(
        self, executions: ExecutionRepository, metrics: RunnerMetrics, max_batch: int
    ) -> None:
        self._executions = executions
        self._metrics = metrics
        self._max_batch = max_batch
        self._waiting: deque[tuple[Change, asyncio.Future[RecordOutcome]]] = deque()
        self._arrived = asyncio.Event()
        self._writing: list[asyncio.Future[RecordOutcome]] = []
        self._closed = False

    async def record(self, change: Change) -> RecordOutcome:
        """Hand in a change and return what became of it. Raises Unavailable once this has ended."""
        if self._closed:
            raise _ended()
        done: asyncio.Future[RecordOutcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((change, done))
        self._arrived.set()
        return await done

    async def run(self) -> None:
        """Write what is handed in, until cancelled. Then nobody is left waiting."""
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                while self._waiting:
                    await self._flush()
        finally:
            self._closed = True
            for done in [*self._writing, *(done for _, done in self._waiting)]:
                if not done.done():
                    done.set_exception(_ended())

    async def _flush(self) -> None:
        size = min(len(self._waiting), self._max_batch)
        batch = [self._waiting.popleft() for _ in range(size)]
        self._metrics.record_batch.observe(size)
        self._writing = [done for _, done in batch]
        outcomes = await self._write([change for change, _ in batch])
        for (_, done), outcome in zip(batch, outcomes, strict=True):
            if not done.done():
                done.set_result(outcome)

    async def _write(self, changes: list[Change]) -> list[RecordOutcome]:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(Unavailable),
            wait=wait_exponential(multiplier=0.05, max=_LONGEST_WAIT.total_seconds()),
            before_sleep=lambda _: log.warning("record.waiting", changes=len(changes)),
        ):
            with attempt:
                return await self._executions.record(changes)
        raise AssertionError("retrying never ends without a result")


def _ended() -> Unavailable:
    return Unavailable("MongoDB", "the runner has stopped writing; the lease brings the work back")
