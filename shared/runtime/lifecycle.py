"""How a service lives: HTTP first, then its work; a signal drains it, a second one ends it."""

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import structlog
import uvicorn
import uvloop
from fastapi import FastAPI

from shared.domain.errors import Misconfigured, PlatformError
from shared.runtime.connecting import StoppedWhileConnecting

Work = Callable[[asyncio.Event], Awaitable[None]]
"""Does the work of a service until the event is set, then drains and returns."""

_EXIT_MISCONFIGURED: Final = 2
log = structlog.get_logger(__name__)


class _Server(uvicorn.Server):
    """Leaves signals to the service."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run a service in this process and exit; a wrong setting is said in one line."""
    _tune_garbage_collection()
    try:
        uvloop.run(_awaited(main))
    except PlatformError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(_EXIT_MISCONFIGURED)


def _tune_garbage_collection() -> None:
    """Collect cycles less often: a busy service makes many short-lived objects and few cycles.

    With the defaults a tenth of a runner's time went into collections that found
    next to nothing (measured with py-spy).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 50)


async def serve(app: FastAPI, host: str, port: int, work: Work) -> None:
    """Serve `app` while `work` goes on; return when a signal has ended both.

    The port is open before any dependency is there, so that health can be asked
    from the first moment. At the end requests under way are answered first, then
    the work drains. If the work fails, the error is raised.
    """
    listener = _listen(host, port)
    signalled, stop = asyncio.Event(), asyncio.Event()
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=3
    )
    server = _Server(config)
    with _signals(signalled):
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="http")
        working = asyncio.create_task(_awaited(lambda: work(stop)), name="work")
        waiting = asyncio.create_task(signalled.wait(), name="signal")
        log.info("service.listening", address=f"http://{host}:{listener.getsockname()[1]}")
        try:
            await asyncio.wait({serving, working, waiting}, return_when=asyncio.FIRST_COMPLETED)
            server.should_exit = True
            await asyncio.wait({serving})
            stop.set()
            with suppress(StoppedWhileConnecting):
                await working
        finally:
            waiting.cancel()
            working.cancel()
            await asyncio.gather(serving, working, waiting, return_exceptions=True)
    log.info("service.stopped")


@contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set():
            log.warning("service.killed", signal=number.name)
            os._exit(128 + number)
        log.info("service.stopping", signal=number.name)
        stop.set()

    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Misconfigured(
            f"Cannot listen on {host}:{port}: {error.strerror}. Stop the program that uses the "
            "port, or set PORT (and HOST) to another one."
        ) from error
    listener.listen(2048)
    listener.setblocking(False)  # noqa: FBT003 - its only argument
    return listener


async def _awaited(start: Callable[[], Awaitable[None]]) -> None:
    await start()
