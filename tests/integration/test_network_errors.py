import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import httpx
import pytest
from httpx_aiohttp import AiohttpTransport

from local.processes import free_port
from runner_svc.actions.network_errors import category_of, describe
from shared.domain.execution import ErrorCategory
from tests.support.waiting import PATIENCE


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=AiohttpTransport()) as made:
        yield made


async def error_of(client: httpx.AsyncClient, url: str, **timeouts: float) -> httpx.HTTPError:
    timeout = httpx.Timeout(PATIENCE, **timeouts)
    with pytest.raises(httpx.HTTPError) as raised:
        await client.get(url, timeout=timeout)
    return raised.value


async def failure(client: httpx.AsyncClient, url: str, **timeouts: float) -> str:
    error = await error_of(client, url, **timeouts)
    assert category_of(error) is ErrorCategory.RECOVERABLE
    return describe(error)


async def test_a_refused_connection_names_host_and_port(client: httpx.AsyncClient) -> None:
    port = free_port()
    said = await failure(client, f"http://127.0.0.1:{port}/secret")
    assert said == f"cannot connect to 127.0.0.1:{port}: Connection refused"


async def test_a_name_that_does_not_exist_is_named(client: httpx.AsyncClient) -> None:
    said = await failure(client, "http://no-such-host.invalid/")
    assert said.startswith("the name 'no-such-host.invalid' cannot be resolved: ")


async def test_a_silent_server_is_a_read_timeout(client: httpx.AsyncClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = await failure(client, f"http://127.0.0.1:{port}/", read=0.05)
    assert said == "no data within the read timeout"


@pytest.mark.parametrize(
    ("linger", "said"),
    [
        (None, "the server closed the connection without an answer"),
        (struct.pack("ii", 1, 0), "the connection broke: Connection reset by peer"),
    ],
)
async def test_a_lost_connection_is_said_to_be_lost(
    client: httpx.AsyncClient, linger: bytes | None, said: str
) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if linger:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        error = await error_of(client, f"http://127.0.0.1:{port}/")
    assert describe(error) == said
    assert category_of(error) is ErrorCategory.TRANSIENT


def test_an_unknown_error_is_named_by_its_type() -> None:
    assert describe(httpx.RemoteProtocolError("odd bytes")) == "RemoteProtocolError: odd bytes"
    assert describe(OSError()) == "OSError"
