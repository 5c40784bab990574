"""Announcing executions again: due retries, lost messages and dead runners, all by `wake_at`."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from scheduler_svc.metrics import SchedulerMetrics
from scheduler_svc.use_cases.promote import PromoteBuffered
from shared.domain.errors import Unavailable
from shared.domain.outcomes import Timing, resend_delay
from shared.ports.bus import ExecutionRequest, RequestPublisher
from shared.ports.clock import Clock
from shared.ports.executions import ExecutionRepository, Wake
from shared.use_cases.buffers import WorkflowRef

log = structlog.get_logger(__name__)
_AFTER_FAILED_SEND: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class SweepExecutions:
    """Moves `wake_at` on first and announces then, so that no poll announces a backlog again.

    A crash in between costs one re-send period. Raises Unavailable when the
    storage does not answer.
    """

    executions: ExecutionRepository
    publisher: RequestPublisher
    clock: Clock
    timing: Timing
    metrics: SchedulerMetrics
    promote: PromoteBuffered

    async def __call__(self, wakes: Sequence[Wake]) -> None:
        """Announce those that are still due; of those that are buffered, serve the buffer."""
        alike: dict[timedelta, list[Wake]] = defaultdict(list)
        for wake in wakes:
            alike[resend_delay(wake.resends, self.timing)].append(wake)
        for delay, group in alike.items():
            await self._announce(group, delay)

    async def _announce(self, wakes: Sequence[Wake], delay: timedelta) -> None:
        now = self.clock.now()
        moved = await self.executions.postpone(wakes, now, now + delay, resend=True)
        await self.promote({WorkflowRef(w.tenant, w.workflow_id) for w in moved if w.buffered})
        moved = [wake for wake in moved if not wake.buffered]
        if not moved:
            return
        requests = [ExecutionRequest(w.id, w.tenant, w.workflow_id, now) for w in moved]
        try:
            await self.publisher.publish(requests, spread=True)
        except Unavailable as error:
            log.warning("execution.not_announced", count=len(moved), why=error.reason)
            soon = self.clock.now() + min(_AFTER_FAILED_SEND, delay)
            await self.executions.postpone(moved, now + delay, soon, resend=False)
            return
        self.metrics.emitted.inc(len(moved))
        log.debug("execution.announced_again", count=len(moved))
