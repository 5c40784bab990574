"""Letting buffered executions go on, when their workflow has room for them."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from scheduler_svc.metrics import SchedulerMetrics
from shared.domain.errors import Unavailable
from shared.ports.bus import ExecutionRequest, NoticePublisher, RequestPublisher
from shared.ports.clock import Clock
from shared.use_cases.buffers import ServeBuffer, Served, WorkflowRef

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 50
"""So many workflows are served side by side: each takes a few round trips, one after the other."""


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
        refs = list(workflows)
        for start in range(0, len(refs), _AT_ONCE):
            await self._together(refs[start : start + _AT_ONCE])

    async def _together(self, refs: Sequence[WorkflowRef]) -> None:
        """Serve several at once; if one fails, the others are announced all the same."""
        found = await asyncio.gather(*map(self.serve, refs), return_exceptions=True)
        await self._announce([served for served in found if isinstance(served, Served)])
        for failure in found:
            if isinstance(failure, BaseException):
                raise failure

    async def _announce(self, served: Sequence[Served]) -> None:
        """Tell runners; without a broker, `wakeAt` and the end of a lease do."""
        now = self.clock.now()
        promoted = [execution for each in served for execution in each.promoted]
        self.metrics.promoted.inc(len(promoted))
        self.metrics.skipped.labels("superseded").inc(sum(each.superseded for each in served))
        aborted = [notice for each in served for notice in each.aborted]
        queued = [execution for each in served for execution in each.undoing] + promoted
        requests = [ExecutionRequest(e.id, e.tenant, e.workflow_id, now) for e in queued]
        try:
            if aborted:
                await self.notices.announce(aborted)
            if requests:
                await self.publisher.publish(requests)
        except Unavailable as error:
            log.warning("execution.not_announced", count=len(requests), why=error.reason)
