"""Runners of a simulation: every execution takes the same time, and succeeds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from scheduler_svc.agenda import Agenda
from shared.domain import transitions
from shared.domain.execution import Lease
from shared.domain.outcomes import Timing
from shared.ports.bus import ExecutionCancelled, ExecutionRequest, Notice
from shared.ports.clock import Clock
from shared.ports.executions import Change, ExecutionRepository
from shared.use_cases.buffers import WorkflowRef

_RUNNER: Final = "simulation"
_ALL: Final = 2**31


@dataclass(slots=True)
class SimulatedRunners:
    """A publisher of requests and notices; what is requested starts at once, however much."""

    executions: ExecutionRepository
    clock: Clock
    takes: timedelta
    timing: Timing
    most_running: int = 0
    _ends: Agenda[str] = field(default_factory=Agenda, init=False)
    _running: set[str] = field(default_factory=set, init=False)

    async def publish(self, requests: Sequence[ExecutionRequest], *, spread: bool = False) -> None:
        """See RequestPublisher.publish."""
        _ = spread
        now = self.clock.now()
        end = now + self.takes
        ids = [request.execution_id for request in requests]
        await self.executions.claim(ids, Lease(_RUNNER, _RUNNER, end), now)
        for execution_id in ids:
            self._ends.put(end, execution_id)
        self._running.update(ids)
        self.most_running = max(self.most_running, len(self._running))

    @property
    def next_end(self) -> datetime | None:
        """When the next execution ends, or None if none runs."""
        return self._ends.next_instant

    async def announce(self, notices: Sequence[Notice]) -> None:
        """See NoticePublisher.announce. What is cancelled runs no longer."""
        for notice in notices:
            if isinstance(notice, ExecutionCancelled):
                self._running.discard(notice.execution_id)

    async def end(self) -> set[WorkflowRef]:
        """Complete what ends now; return the workflows that this makes room in."""
        now = self.clock.now()
        ids = self._ends.take_due(now, _ALL)
        if not ids:
            return set()
        self._running.difference_update(ids)
        lease = Lease(_RUNNER, _RUNNER, now)
        won = (await self.executions.claim(ids, lease, now)).won
        retention = self.timing.retention
        await self.executions.record(
            [Change(running, transitions.complete(running, now, retention)) for running in won]
        )
        return {WorkflowRef(running.tenant, running.workflow_id) for running in won}
