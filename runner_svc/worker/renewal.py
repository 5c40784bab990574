"""Keeping what one works on: renewing leases, and letting go of what was taken away."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from runner_svc.metrics import RunnerMetrics
from runner_svc.worker.inflight import InFlight
from shared.domain.errors import Unavailable
from shared.ports.bus import ExecutionCancelled, Notice, NoticeSubscriber
from shared.ports.clock import Clock
from shared.ports.executions import ExecutionRepository
from shared.runtime.listening import listen

log = structlog.get_logger(__name__)
_RETRY: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Renewal:
    """Renews the leases of everything in flight, all at once."""

    executions: ExecutionRepository
    in_flight: InFlight
    clock: Clock
    metrics: RunnerMetrics
    owner: str
    lease: timedelta
    interval: timedelta

    async def run(self) -> None:
        """Renew every `interval`, sooner after a failure, until cancelled."""
        pause = self.interval
        while True:
            await self.clock.sleep_until(self.clock.now() + pause)
            try:
                await self.renew()
                pause = self.interval
            except Unavailable as error:
                log.warning("lease.not_renewed", why=error.reason)
                pause = min(_RETRY, self.interval)

    async def renew(self) -> None:
        """Renew once; abort what is no longer ours. Raises Unavailable."""
        ids = self.in_flight.ids
        if not ids:
            return
        until = self.clock.now() + self.lease
        lost = await self.executions.renew(self.owner, ids, until)
        self.in_flight.renewed(ids - lost, until)
        for execution_id in lost:
            if self.in_flight.abort(execution_id):
                self.metrics.leases_lost.inc()
                log.warning("lease.lost", executionId=execution_id)


@dataclass(frozen=True, slots=True)
class CancellationListener:
    """Aborts at once what was cancelled, instead of at the next renewal."""

    notices: NoticeSubscriber
    in_flight: InFlight

    async def run(self) -> None:
        """Listen until cancelled."""
        await listen(self.notices, self._hear)

    def _hear(self, notices: Sequence[Notice]) -> None:
        for notice in notices:
            if not isinstance(notice, ExecutionCancelled):
                continue
            if self.in_flight.abort(notice.execution_id, notice.token):
                log.info("execution.aborted", executionId=notice.execution_id)
