"""How the action `mongodb` reaches its databases: concerns, refusals, and no word of a password."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.monitoring import CommandListener, CommandStartedEvent

from local.processes import free_port
from runner_svc.actions.mongodb import MongodbTransactor
from shared.adapters.system.clock import SystemClock
from shared.domain.data_actions import MongodbAction
from shared.ports.actions import ActionError
from tests.support.action_context import action_context
from tests.support.servers import mongodb_uri
from tests.support.standalone_mongo import standalone_mongo

Raw = dict[str, Any]
PASSWORD = "p%40ss-W0rd"


class Commands(CommandListener):
    """Remembers the commands that a client sends."""

    def __init__(self) -> None:
        self.sent: list[Raw] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.sent.append({**event.command})

    def succeeded(self, event: object) -> None: ...

    def failed(self, event: object) -> None: ...

    def named(self, name: str) -> list[Raw]:
        return [command for command in self.sent if name in command]


@pytest.fixture
def clock() -> SystemClock:
    """The server's own clock decides what has expired, so this must be the real time."""
    return SystemClock()


@pytest.fixture
async def database(unique: str) -> AsyncIterator[str]:
    yield f"user-{unique}"
    async with AsyncMongoClient[Raw](mongodb_uri()) as client:
        await client.drop_database(f"user-{unique}")


def action(database: str, operation: str = "insert", **fields: Any) -> MongodbAction:
    document: dict[str, Any] = {
        "type": "mongodb",
        "database": database,
        "collection": "things",
        "operation": operation,
        **({"documents": [{"_id": 1}]} if operation == "insert" else {}),
        **fields,
    }
    return MongodbAction.model_validate(document)


async def refusal(transactor: MongodbTransactor, params: MongodbAction) -> ActionError:
    with pytest.raises(ActionError) as raised:
        await transactor.run(params, action_context("key"))
    assert len(str(raised.value)) < 2000
    assert PASSWORD not in str(raised.value)
    assert "p@ss-W0rd" not in str(raised.value)
    return raised.value


@pytest.mark.parametrize("operation", ["insert", "find"])
@pytest.mark.parametrize("read", ["local", "majority", "snapshot"])
@pytest.mark.parametrize("write", [1, "majority"])
async def test_the_transaction_has_the_concerns_of_the_definition(
    clock: SystemClock, database: str, operation: str, read: str, write: int | str
) -> None:
    commands = Commands()

    def connect(uri: str) -> AsyncMongoClient[Raw]:
        return AsyncMongoClient(uri, event_listeners=[commands])

    params = action(database, operation, readConcern=read, writeConcern=write)
    async with MongodbTransactor({"default": mongodb_uri()}, clock, connect=connect) as transactor:
        await transactor.run(params, action_context("key"))
    (begun,) = [command for command in commands.sent if command.get("startTransaction")]
    (ended,) = commands.named("commitTransaction")
    assert begun["readConcern"]["level"] == read
    assert ended["writeConcern"]["w"] == write


async def test_clients_are_made_when_needed_and_once(clock: SystemClock, database: str) -> None:
    made: list[str] = []

    def connect(uri: str) -> AsyncMongoClient[Raw]:
        made.append(uri)
        return AsyncMongoClient(uri)

    uris = {"default": mongodb_uri(), "unused": "mongodb://127.0.0.1:1/"}
    async with MongodbTransactor(uris, clock, connect=connect) as transactor:
        assert made == []
        find = action(database, "find")
        await asyncio.gather(*(transactor.run(find, action_context("key")) for _ in range(5)))
        assert made == [mongodb_uri()]


async def test_an_unknown_connection_names_the_known_ones_and_the_variable(
    clock: SystemClock,
) -> None:
    uris = {"stock": mongodb_uri(), "orders": f"mongodb://u:{PASSWORD}@h/"}
    async with MongodbTransactor(uris, clock) as transactor:
        error = await refusal(transactor, action("shop"))
        assert not error.retryable
        assert "no MongoDB connection 'default'; known: 'orders', 'stock'" in str(error)
        assert "MONGODB_CONNECTION_DEFAULT" in str(error)


@pytest.mark.parametrize(
    "uri",
    [
        f"mongodb://user:{PASSWORD}",
        f"mongodb://user:{PASSWORD}@/x",
        f"mongo://user:{PASSWORD}@host/",
        f"mongodb://user:{PASSWORD}@host:port/",
        f"mongodb://user:{PASSWORD}@host/?w=oops&authMechanism={PASSWORD}",
    ],
)
async def test_an_address_that_is_none_is_not_repeated(clock: SystemClock, uri: str) -> None:
    async with MongodbTransactor({"default": uri}, clock) as transactor:
        error = await refusal(transactor, action("shop"))
        assert not error.retryable
        assert "MONGODB_CONNECTION_DEFAULT on the runner is not a MongoDB address" in str(error)


@pytest.mark.parametrize("operation", ["insert", "find"])
async def test_a_database_that_is_away_is_retryable_within_the_time_limit(
    clock: SystemClock, operation: str
) -> None:
    uri = f"mongodb://user:{PASSWORD}@127.0.0.1:{free_port()}/?replicaSet=rs0"
    loop = asyncio.get_running_loop()
    async with MongodbTransactor({"default": uri}, clock) as transactor:
        started = loop.time()
        error = await refusal(transactor, action("shop", operation, timeout="1s"))
        # The driver by itself would look for a server for 30 s.
        assert loop.time() - started < 20
    assert error.retryable
    assert "connection 'default': MongoDB: 127.0.0.1:" in str(error)


async def test_a_login_that_is_refused_is_permanent(clock: SystemClock) -> None:
    host = mongodb_uri().removeprefix("mongodb://")
    uri = f"mongodb://nobody:{PASSWORD}@{host}"
    async with MongodbTransactor({"default": uri}, clock) as transactor:
        error = await refusal(transactor, action("shop"))
    assert not error.retryable
    assert "does not let this connection's user work on shop.things" in str(error)


@pytest.mark.parametrize("operation", ["insert", "find"])
async def test_a_server_without_transactions_is_told_with_its_cure(
    clock: SystemClock, operation: str
) -> None:
    with standalone_mongo() as uri:
        async with MongodbTransactor({"default": uri}, clock) as transactor:
            error = await refusal(transactor, action("shop", operation))
    assert not error.retryable
    assert "run it as a replica set (one node will do" in str(error)
