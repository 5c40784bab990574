"""Listening to notices for as long as a service lives."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

import structlog

from shared.domain.errors import Unavailable
from shared.ports.bus import Notice, NoticeSubscriber

log = structlog.get_logger(__name__)
_WAIT: Final = timedelta(seconds=1)


async def listen(notices: NoticeSubscriber, hear: Callable[[Sequence[Notice]], None]) -> None:
    """Hand what comes to `hear`, until cancelled. While the bus is away it waits."""
    while True:
        try:
            heard = await notices.fetch(_WAIT)
        except Unavailable as error:
            log.debug("notices.waiting", why=error.reason)
            await asyncio.sleep(_WAIT.total_seconds())
        else:
            hear(heard)
