"""What becomes of errors, and of cancellations, in the middle of a database call."""

import asyncio
from contextlib import suppress

import pytest
from pymongo.errors import AutoReconnect, DuplicateKeyError, PyMongoError

from shared.adapters.mongo.errors import translated
from shared.domain.errors import Unavailable


async def _swallowing(error: PyMongoError | None) -> None:
    """A driver's call that is cancelled and yet returns, or fails in a way of its own."""
    with translated():
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        if error:
            raise error


@pytest.mark.parametrize("error", [None, AutoReconnect("gone"), DuplicateKeyError("there")])
async def test_a_cancellation_that_the_driver_swallowed_cancels_after_all(
    error: PyMongoError | None,
) -> None:
    task = asyncio.ensure_future(_swallowing(error))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_call_within_the_handling_of_a_cancellation_goes_on() -> None:
    done = []

    async def last_words() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            with translated():
                await asyncio.sleep(0)
            done.append("said")

    task = asyncio.ensure_future(last_words())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == ["said"]


async def test_what_may_pass_is_unavailable_and_the_rest_is_itself() -> None:
    with pytest.raises(Unavailable, match="gone"), translated():
        raise AutoReconnect("gone")
    with pytest.raises(DuplicateKeyError), translated():
        raise DuplicateKeyError("there")
