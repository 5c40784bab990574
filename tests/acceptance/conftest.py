"""A platform per broker for the scenarios that leave it as it is, and new ones for the others."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from tests.support.destination import Destination
from tests.support.recording_api import RecordingApi
from tests.support.stack import QUICK, Stack

SECRETS = {"SECRET_TOKEN": "s3cr3t/värdé&", "SECRET_PLAIN": "pl4in"}
MakeStack = Callable[..., Awaitable[Stack]]


@pytest.fixture(scope="session")
async def _stacks() -> AsyncIterator[dict[str, Stack]]:
    """The shared platforms by broker, as far as they were needed yet."""
    async with AsyncExitStack() as cleanup:
        made: dict[str, Stack] = {}
        yield made
        for shared in made.values():
            cleanup.push_async_callback(shared.close)


@pytest.fixture
async def stack(broker: str, _stacks: dict[str, Stack]) -> Stack:
    """The three services, shared by the scenarios of one broker; waits are cut down."""
    if broker not in _stacks:
        shared = Stack(broker, f"shared-{uuid.uuid4().hex[:12]}", {**QUICK, **SECRETS})
        _stacks[broker] = shared
        await shared.start()
    return _stacks[broker]


@pytest.fixture
async def make_stack(broker: str, unique: str) -> AsyncIterator[MakeStack]:
    """Make a platform for one test: `await make_stack()`, or with other settings."""
    async with AsyncExitStack() as cleanup:

        async def make(*names: str, **settings: str) -> Stack:
            made = Stack(broker, unique, {**QUICK, **settings})
            cleanup.push_async_callback(made.close)
            if names != ("none",):
                await made.start(*names)
            return made

        yield make


@pytest.fixture
async def destination() -> AsyncIterator[Destination]:
    """A local HTTP server to call."""
    server = Destination()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def api() -> AsyncIterator[RecordingApi]:
    """An API that says yes to everything, for what the command line sends and makes of answers."""
    server = RecordingApi()
    await server.start()
    yield server
    await server.stop()
