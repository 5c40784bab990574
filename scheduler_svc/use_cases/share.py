"""Sharing the due work among schedulers: each beats, and derives its shards from who is alive."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from scheduler_svc.metrics import SchedulerMetrics
from shared.domain.identity import SHARDS
from shared.domain.sharding import shards_of
from shared.ports.clock import Clock
from shared.ports.members import MemberRepository

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class ShareWork:
    """Knows which shards are this scheduler's.

    One that cannot reach the bus leaves its share to those that can; if nobody
    can, everybody goes on, so that what is due is at least on record.

    Two schedulers may for a moment both think that a shard is theirs; then both
    fire its workflows, and the unique ids see to it that it counts once.
    """

    members: MemberRepository
    clock: Clock
    metrics: SchedulerMetrics
    name: str
    lease: timedelta
    can_announce: Callable[[], bool]
    shards: frozenset[int] | None = field(default=None, init=False)
    """The shards that are ours, None for all of them."""

    _alive: frozenset[str] = field(default=frozenset(), init=False)

    async def beat(self) -> None:
        """Say that this scheduler lives and works, and see who else does. Raises Unavailable."""
        now = self.clock.now()
        until = now + self.lease if self.can_announce() else now
        alive = await self.members.beat(self.name, now, until)
        mine = shards_of(self.name, alive or {self.name})
        self.shards = None if len(mine) == SHARDS else mine
        if alive != self._alive:
            self._alive = alive
            self.metrics.members.set(len(alive))
            self.metrics.shards.set(len(mine))
            log.info("scheduler.shares", members=len(alive), shards=len(mine))

    def is_mine(self, shard: int) -> bool:
        """Tell whether a shard is this scheduler's."""
        return self.shards is None or shard in self.shards

    async def leave(self) -> None:
        """Hand the shards over at once. Raises Unavailable."""
        await self.members.leave(self.name)
