"""Letting buffered executions go on, when their workflow has room for them."""

from collections.abc import Collection
from dataclasses import dataclass

import structlog

from scheduler_svc.metrics import SchedulerMetrics
from shared.domain.errors import Unavailable
from shared.ports.bus import ExecutionRequest, NoticePublisher, RequestPublisher
from shared.ports.clock import Clock
from shared.use_cases.buffers import ServeBuffer, Served, WorkflowRef

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class PromoteBuffered:
    """Queues what waits in buffers, and asks runners to take it. Raises Unavailable.

    Where the newest is to take the place of what runs, that is cancelled first.
    """

    serve: ServeBuffer
    publisher: RequestPublisher
    notices: NoticePublisher
    clock: Clock
    metrics: SchedulerMetrics

    async def __call__(self, workflows: Collection[WorkflowRef]) -> None:
        """Look into the buffer of each workflow, as far as it has room."""
        for ref in workflows:
            served = await self.serve(ref)
            self.metrics.promoted.inc(len(served.promoted))
            self.metrics.skipped.labels("superseded").inc(served.superseded)
            await self._announce(served)

    async def _announce(self, served: Served) -> None:
        """Tell runners; without a broker, `wakeAt` and the end of a lease do."""
        now = self.clock.now()
        queued = [*served.undoing, *served.promoted]
        requests = [ExecutionRequest(e.id, e.tenant, e.workflow_id, now) for e in queued]
        try:
            if served.aborted:
                await self.notices.announce(served.aborted)
            if requests:
                await self.publisher.publish(requests)
        except Unavailable as error:
            log.warning("execution.not_announced", count=len(requests), why=error.reason)
