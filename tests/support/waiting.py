"""Waiting for a condition with a deadline, instead of sleeping and hoping."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

T = TypeVar("T")

PATIENCE: Final = 120.0
"""Seconds: a deadline matters only when something is broken, so a slow machine has plenty."""


async def eventually(
    read: Callable[[], Awaitable[T]],
    accept: Callable[[T], object] = bool,
    *,
    within: float = PATIENCE,
    every: float = 0.05,
) -> T:
    """Return the first value of `read` that `accept` takes; fail after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        value = await read()
        if accept(value):
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s; the last value was {value!r}")
        await asyncio.sleep(every)
