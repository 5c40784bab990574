"""The poll loop: takes as many requests as there is room for, claims them, and starts work.

Work never runs in here. A full runner keeps polling without taking, so that it
stays a member of its group however long its actions take.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal

import structlog

from runner_svc.use_cases.claim import ClaimExecutions
from runner_svc.use_cases.definitions import Definitions
from runner_svc.use_cases.holding import Holding
from runner_svc.use_cases.run import MARGIN, RunExecution
from runner_svc.worker.inflight import InFlight
from shared.domain.errors import Unavailable
from shared.domain.execution import Execution
from shared.domain.plan import Plan
from shared.ports.bus import Delivery, RequestSubscriber
from shared.ports.clock import Clock

log = structlog.get_logger(__name__)
_POLL: Final = timedelta(milliseconds=250)
_PAUSE: Final = timedelta(milliseconds=500)


@dataclass(frozen=True, slots=True)
class Intake:
    """Connects the bus with the work."""

    subscriber: RequestSubscriber
    claim: ClaimExecutions
    definitions: Definitions
    run_execution: RunExecution
    in_flight: InFlight
    clock: Clock
    batch: int

    async def run(self, stop: asyncio.Event) -> None:
        """Take requests until `stop` is set."""
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                try:
                    await self._take(stopping)
                except Unavailable as error:
                    log.warning("intake.waiting", dependency=error.dependency, why=error.reason)
                    await asyncio.wait({stopping}, timeout=_PAUSE.total_seconds())
                except Exception:
                    # A bug met by one batch must not end the runner and all that it holds.
                    log.exception("intake.failed")
                    await asyncio.wait({stopping}, timeout=_PAUSE.total_seconds())
        finally:
            stopping.cancel()

    async def _take(self, stopping: "asyncio.Future[Literal[True]]") -> None:
        room = self.in_flight.room
        deliveries = await self._fetch(min(room, self.batch), stopping)
        if deliveries:
            claimed = await self._claimed(deliveries, stopping)
            if claimed is None:
                return
            for execution, plan in claimed:
                self._start(execution, plan)
            await self.subscriber.commit(deliveries)
        elif not room:
            await self.in_flight.wait_for_room(_POLL)

    async def _fetch(self, limit: int, stopping: "asyncio.Future[Literal[True]]") -> list[Delivery]:
        """Fetch, but do not wait for it (a rebalance may take long) once it is time to stop."""
        fetching = asyncio.ensure_future(self.subscriber.fetch(limit, _POLL))
        waiting: set[asyncio.Future[Any]] = {fetching, stopping}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if fetching.done():
            return fetching.result()
        fetching.cancel()
        await asyncio.wait({fetching})
        return []

    async def _claimed(
        self, deliveries: Sequence[Delivery], stopping: "asyncio.Future[Literal[True]]"
    ) -> list[tuple[Execution, Plan | None]] | None:
        """Claim, and fetch the definitions, until the storage answers; None if told to stop first.

        After a failure the same token is used again, since part of the batch may
        be claimed under it already; once that lease is about to end, a new one is
        taken and the part becomes a recovery like any other.
        """
        lease = self.claim.new_lease(deliveries)
        while not stopping.done():
            try:
                won = await self.claim(deliveries, lease, self.in_flight.ids)
                plans = await self.definitions.of(won)
            except Unavailable as error:
                log.warning("claim.waiting", requests=len(deliveries), why=error.reason)
                await asyncio.wait({stopping}, timeout=_PAUSE.total_seconds())
            else:
                return [(execution, plans.get(execution.id)) for execution in won]
            if self.clock.now() > lease.until - MARGIN:
                lease = self.claim.new_lease(deliveries)
        return None

    def _start(self, execution: Execution, plan: Plan | None) -> None:
        async def run(holding: Holding) -> None:
            await self.run_execution(holding, plan)

        self.in_flight.start(execution, run)
