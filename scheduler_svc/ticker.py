"""The heartbeat: a poll every few seconds, and in between every item at its own instant.

A poll reads what falls due until the next poll, so the database is asked
rarely and yet a fire is late by milliseconds only.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from scheduler_svc.agenda import Agenda
from scheduler_svc.metrics import SchedulerMetrics
from scheduler_svc.use_cases.fire import FireDueWorkflows
from scheduler_svc.use_cases.promote import PromoteBuffered
from scheduler_svc.use_cases.share import ShareWork
from scheduler_svc.use_cases.sweep import SweepExecutions
from shared.domain.errors import Unavailable
from shared.domain.identity import shard_of
from shared.ports.bus import (
    ExecutionWakes,
    Notice,
    NoticeSubscriber,
    WorkflowChanged,
    WorkflowFreed,
)
from shared.ports.clock import Clock
from shared.ports.executions import ExecutionRepository, Wake
from shared.ports.workflows import Upcoming, WorkflowRepository
from shared.runtime.listening import listen
from shared.use_cases.buffers import WorkflowRef

log = structlog.get_logger(__name__)
_AFTER_FAILURE: Final = timedelta(seconds=1)
_PARALLEL: Final = 2
_LAST_TICK: Final = timedelta(seconds=3)
"""So long may the last tick take; what it leaves undone is recognised by its ids."""


@dataclass(slots=True)
class Ticker:
    """Drives the scheduler's use cases by the clock."""

    workflows: WorkflowRepository
    executions: ExecutionRepository
    fire: FireDueWorkflows
    sweep: SweepExecutions
    promote: PromoteBuffered
    share: ShareWork
    clock: Clock
    metrics: SchedulerMetrics
    poll_interval: timedelta
    batch: int
    read_ahead: int
    lead: timedelta = timedelta()
    """So long before its instant an occurrence is fired; the runner waits for the instant."""

    _upcoming: Agenda[Upcoming] = field(default_factory=Agenda, init=False)
    _wakes: Agenda[Wake] = field(default_factory=Agenda, init=False)
    _freed: set[WorkflowRef] = field(default_factory=set, init=False)
    _next_poll: datetime | None = field(default=None, init=False)
    _paused_until: datetime | None = field(default=None, init=False)
    _more: bool = field(default=False, init=False)
    _poll_wanted: bool = field(default=False, init=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def run(self, stop: asyncio.Event) -> None:
        """Tick until `stop` is set. A tick under way may end, unless it waits for the storage."""
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                await self._tick_unless_stopped(stopping)
                await self._wait(stopping)
        finally:
            stopping.cancel()

    async def _tick_unless_stopped(self, stopping: "asyncio.Future[Any]") -> None:
        ticking = asyncio.ensure_future(self.tick())
        try:
            await asyncio.wait({ticking, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({ticking}, timeout=_LAST_TICK.total_seconds())
        finally:
            ticking.cancel()
        if ticking.done():
            ticking.result()

    async def tick(self) -> None:
        """Poll if it is time to, then handle everything that is due now."""
        if self._paused_until is not None and self.clock.now() < self._paused_until:
            return
        self._paused_until = None
        try:
            if self._poll_is_due():
                await self._poll()
            while await self._handle_due() and not self._poll_is_due():
                pass
        except Unavailable as error:
            log.warning("scheduler.waiting", dependency=error.dependency, why=error.reason)
            self._paused_until = self.clock.now() + min(_AFTER_FAILURE, self.poll_interval)
            self._next_poll = self._paused_until

    def hear(self, notices: Sequence[Notice]) -> None:
        """Put on the agenda what becomes due before the next poll would find it."""
        # A poll may be under way that has read already, so the next one is a whole interval off.
        horizon = self.clock.now() + self.poll_interval + self.lead
        for notice in notices:
            match notice:
                case WorkflowChanged() if notice.next_run_at <= horizon and self._is_mine(notice):
                    item = Upcoming(notice.tenant, notice.workflow_id, notice.next_run_at)
                    self._upcoming.put(item.next_run_at - self.lead, item)
                case ExecutionWakes() if notice.wake_at <= horizon and self._is_mine(notice):
                    wake = Wake(
                        notice.execution_id, notice.tenant, notice.workflow_id, notice.wake_at, 0
                    )
                    self._wakes.put(wake.wake_at, wake)
                case WorkflowFreed() if self._is_mine(notice):
                    self._freed.add(WorkflowRef(notice.tenant, notice.workflow_id))
                case _:
                    continue
        self._changed.set()

    def poll_soon(self) -> None:
        """Poll without waiting for the time to come, as more shards are this scheduler's now."""
        self._poll_wanted = True
        self._changed.set()

    def _poll_is_due(self) -> bool:
        """After a poll that could not read everything, what it read is handled first."""
        now = self.clock.now()
        if self._poll_wanted or self._next_poll is None:
            return True
        return now >= self._next_poll and not (self._more and self._is_anything_due(now))

    def _is_anything_due(self, now: datetime) -> bool:
        instants = (self._upcoming.next_instant, self._wakes.next_instant)
        return bool(self._freed) or any(
            instant is not None and instant <= now for instant in instants
        )

    async def _poll(self) -> None:
        started = time.perf_counter()
        now = self.clock.now()
        self._poll_wanted = False
        await self.share.beat()
        horizon = now + self.poll_interval + self.lead
        upcoming, wakes, orphans = await asyncio.gather(
            self.workflows.due(horizon, self.share.shards, self.read_ahead),
            self.executions.due(horizon, self.share.shards, self.read_ahead),
            self.executions.orphans(),
        )
        for item in upcoming:
            self._upcoming.put(item.next_run_at - self.lead, item)
        for wake in wakes:
            self._wakes.put(wake.wake_at, wake)
        full = [
            items[-1]
            for items in ([u.next_run_at for u in upcoming], [w.wake_at for w in wakes])
            if len(items) >= self.read_ahead
        ]
        self._more = bool(full)
        self._next_poll = max(min([now + self.poll_interval, *full]), now)
        self.metrics.orphans.set(orphans)
        self.metrics.due.set(len(upcoming) + len(wakes))
        oldest = min([now, *(u.next_run_at for u in upcoming), *(w.wake_at for w in wakes)])
        self.metrics.backlog.set((now - oldest).total_seconds())
        self.metrics.polls.observe(time.perf_counter() - started)

    async def _handle_due(self) -> bool:
        """Handle up to a few batches of what is due; False when nothing was."""
        now = self.clock.now()
        fires = [self._upcoming.take_due(now, self.batch) for _ in range(_PARALLEL)]
        wakes = self._wakes.take_due(now, self.batch)
        freed, self._freed = self._freed, set()
        if not fires[0] and not wakes and not freed:
            return False
        jobs = [self._fire(items) for items in fires if items]
        await asyncio.gather(*jobs, self.sweep(wakes), self.promote(freed))
        return True

    async def _fire(self, items: Sequence[Upcoming]) -> None:
        horizon = (self._next_poll or self.clock.now()) + self.lead
        for following in await self.fire(items):
            at = following.next_run_at
            if at <= horizon:
                ahead = at - self.lead
                # Had it been possible ahead of its instant, it would be done by now.
                self._upcoming.put(ahead if ahead > self.clock.now() else at, following)

    async def _wait(self, stopping: "asyncio.Future[Any]") -> None:
        """Sleep until the next item or poll is due, or something is heard."""
        self._changed.clear()
        if self._paused_until is None and (self._poll_wanted or self._freed):
            return
        instants = (self._upcoming.next_instant, self._wakes.next_instant, self._next_poll)
        until = self._paused_until or min(instant for instant in instants if instant)
        waits: set[asyncio.Future[Any]] = {
            asyncio.ensure_future(self.clock.sleep_until(until)),
            asyncio.ensure_future(self._changed.wait()),
        }
        try:
            await asyncio.wait({*waits, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _is_mine(self, notice: WorkflowChanged | WorkflowFreed | ExecutionWakes) -> bool:
        return self.share.is_mine(shard_of(notice.tenant, notice.workflow_id))


@dataclass(frozen=True, slots=True)
class NoticeListener:
    """Hands what others announce to the ticker."""

    notices: NoticeSubscriber
    ticker: Ticker

    async def run(self) -> None:
        """Listen until cancelled."""
        await listen(self.notices, self.ticker.hear)
