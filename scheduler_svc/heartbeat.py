"""Beating between the polls, so that those who live take over soon what a dead scheduler had."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from scheduler_svc.ticker import Ticker
from scheduler_svc.use_cases.share import ShareWork
from shared.domain.errors import Unavailable
from shared.ports.clock import Clock

log = structlog.get_logger(__name__)
BEAT: Final = timedelta(seconds=1)
MEMBER_LEASE: Final = timedelta(seconds=5)
"""Who has not beaten for so long counts as dead. Wrongly, perhaps: then two do the same work."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Beats by the clock, and has the ticker poll at once when its share has changed."""

    share: ShareWork
    ticker: Ticker
    clock: Clock

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            await self.clock.sleep_until(self.clock.now() + BEAT)
            before = self.share.shards
            try:
                await self.share.beat()
            except Unavailable as error:
                log.debug("scheduler.not_beating", why=error.reason)
            except Exception:
                # The ticker beats, too; it must not end because this one met a bug.
                log.exception("scheduler.beating_failed")
            if self.share.shards != before:
                self.ticker.poll_soon()
