"""Waiting for dependencies at the start: either order of start works."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential

from shared.domain.errors import Unavailable

log = structlog.get_logger(__name__)


class StoppedWhileConnecting(Exception):
    """The service was told to stop before its dependencies were there."""


async def until_available(
    what: str, connect: Callable[[], Awaitable[None]], stop: asyncio.Event
) -> None:
    """Call `connect` until it no longer raises Unavailable, saying so at every attempt.

    Raises StoppedWhileConnecting as soon as `stop` is set.
    """

    def report(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        log.warning(
            "service.waiting", dependency=what, attempt=state.attempt_number, why=str(error)
        )

    async def pause(seconds: float) -> None:
        await asyncio.wait({stopping}, timeout=seconds)
        if stopping.done():
            raise StoppedWhileConnecting

    stopping = asyncio.ensure_future(stop.wait())
    try:
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(Unavailable),
            wait=wait_exponential(multiplier=0.25, max=3),
            before_sleep=report,
            sleep=pause,
        ):
            with attempt:
                await _unless(stopping, connect)
    finally:
        stopping.cancel()


async def _unless(
    stopping: "asyncio.Future[Literal[True]]", connect: Callable[[], Awaitable[None]]
) -> None:
    """Connect, but give up at once when it is time to stop."""
    connecting = asyncio.ensure_future(connect())
    waiting: set[asyncio.Future[Any]] = {connecting, stopping}
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    if connecting.done():
        return connecting.result()
    connecting.cancel()
    await asyncio.wait({connecting})
    raise StoppedWhileConnecting
