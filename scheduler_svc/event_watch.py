"""Looking every few seconds whether a process has gone without publishing all its events."""

from dataclasses import dataclass
from datetime import timedelta

import structlog

from scheduler_svc.use_cases.republish import RepublishEvents
from shared.domain.errors import Unavailable
from shared.ports.clock import Clock

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class EventWatch:
    """Drives `RepublishEvents` by the clock."""

    republish: RepublishEvents
    clock: Clock
    interval: timedelta

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.clock.sleep_until(self.clock.now() + self.interval)
            try:
                await self.republish()
            except Unavailable as error:
                log.warning("events.not_republished", why=error.reason)
            except Exception:
                # It is tried again; meanwhile the scheduler must go on scheduling.
                log.exception("events.republishing_failed")
