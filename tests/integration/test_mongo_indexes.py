"""Opening a connection builds the indexes that the promises rest on, or says what is in the way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any, Final

import pytest
from bson import SON
from pymongo import ASCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from local.mongod import find_mongod
from local.processes import ChildProcess, free_port
from shared.adapters.mongo.connection import MongoConnection, MongoSettings
from shared.domain.errors import Misconfigured, Unavailable
from tests.support.servers import mongodb_uri

Json = dict[str, Any]
DAWN: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - as the driver reads it back

INDEXES: Final[dict[str, dict[str, Json]]] = {
    "executions": {
        "active_key": {
            "key": [("activeKey", 1)],
            "unique": True,
            "partialFilterExpression": {"activeKey": {"$gt": ""}},
        },
        "buffer_key": {
            "key": [("bufferKey", 1)],
            "unique": True,
            "partialFilterExpression": {"bufferKey": {"$gt": ""}},
        },
        "due": {
            "key": [("wakeAt", 1), ("shard", 1)],
            "partialFilterExpression": {"wakeAt": {"$gt": DAWN}},
        },
        "orphans": {
            "key": [("activeKey", 1), ("tenant", 1)],
            "partialFilterExpression": {"activeKey": {"$gt": ""}, "wakeAt": None},
        },
        "buffered_orphans": {
            "key": [("bufferKey", 1), ("tenant", 1)],
            "partialFilterExpression": {"bufferKey": {"$gt": ""}, "wakeAt": None},
        },
        "by_workflow": {"key": [("tenant", 1), ("workflowId", 1), ("createdAt", -1), ("_id", -1)]},
        "by_time": {"key": [("tenant", 1), ("createdAt", -1), ("_id", -1)]},
        "unsuccessful": {
            "key": [("tenant", 1), ("status", 1), ("createdAt", -1), ("_id", -1)],
            "partialFilterExpression": {"status": {"$in": ["failed", "cancelled", "skipped"]}},
        },
        "retention": {
            "key": [("expiresAt", 1)],
            "expireAfterSeconds": 0,
            "partialFilterExpression": {"expiresAt": {"$gt": DAWN}},
        },
    },
    "workflows": {
        "due": {
            "key": [("trigger.nextRunAt", 1), ("shard", 1)],
            "partialFilterExpression": {"enabled": True, "trigger.nextRunAt": {"$gt": DAWN}},
        },
        "listing": {"key": [("tenant", 1), ("workflowId", 1)]},
    },
    "workflow_versions": {},
    "dead_letters": {
        "by_time": {"key": [("receivedAt", -1), ("_id", -1)]},
        "retention": {"key": [("expiresAt", 1)], "expireAfterSeconds": 0},
    },
    "scheduler_members": {"expiry": {"key": [("until", 1)], "expireAfterSeconds": 3600}},
}

Connect = Callable[[], MongoConnection]


@pytest.fixture
async def connect(unique: str) -> AsyncIterator[Connect]:
    """Make connections, not opened yet, to one empty database."""
    made: list[MongoConnection] = []
    settings = MongoSettings(mongodb_uri(), f"test-{unique}", timedelta(seconds=20))

    def connection() -> MongoConnection:
        made.append(MongoConnection(settings, "tests"))
        return made[-1]

    yield connection
    await connection().drop()
    for each in made:
        await each.close()


async def indexes_of(connection: MongoConnection, collection: str) -> dict[str, Json]:
    """Return the indexes of a collection beside the one on `_id`, with all their options."""
    found = await connection._database[collection].index_information()
    return {
        name: {option: _plain(value) for option, value in index.items() if option != "v"}
        for name, index in found.items()
        if name != "_id_"
    }


def _plain(value: Any) -> Any:
    return value.to_dict() if isinstance(value, SON) else value


@pytest.mark.parametrize("collection", INDEXES)
async def test_after_opening_a_collection_has_exactly_these_indexes(
    connect: Connect, collection: str
) -> None:
    connection = connect()
    await connection.open()
    assert await indexes_of(connection, collection) == INDEXES[collection]


async def test_services_that_open_at_once_and_again_get_the_same_indexes(connect: Connect) -> None:
    connections = [connect() for _ in range(3)]
    await asyncio.gather(*(connection.open() for connection in connections))
    await connections[0].open()
    for collection, wanted in INDEXES.items():
        assert await indexes_of(connections[0], collection) == wanted


CONFLICTS: Final = {
    "the guard is not unique": (
        "executions",
        IndexModel(
            "activeKey", name="active_key", partialFilterExpression={"activeKey": {"$gt": ""}}
        ),
    ),
    "the guard covers the nulls": (
        "executions",
        IndexModel("activeKey", name="active_key", unique=True),
    ),
    "the guard has another name": (
        "executions",
        IndexModel(
            "activeKey",
            name="other",
            unique=True,
            partialFilterExpression={"activeKey": {"$gt": ""}},
        ),
    ),
    "the polled index is of other fields": ("executions", IndexModel("wakeAt", name="due")),
    "the polled index is not partial": (
        "workflows",
        IndexModel([("trigger.nextRunAt", ASCENDING), ("shard", ASCENDING)], name="due"),
    ),
    "the retention is another": (
        "dead_letters",
        IndexModel("expiresAt", name="retention", expireAfterSeconds=60),
    ),
}


@pytest.mark.parametrize(
    ("collection", "index"), [pytest.param(*case, id=name) for name, case in CONFLICTS.items()]
)
async def test_an_index_with_other_options_is_named_and_dropping_it_is_the_cure(
    connect: Connect, collection: str, index: IndexModel
) -> None:
    connection = connect()
    there = connection._database[collection]
    await there.create_indexes([index])
    with pytest.raises(Misconfigured) as refused:
        await connection.open()
    name = index.document["name"]
    assert name in str(refused.value)
    assert "Drop that index" in str(refused.value)
    await there.drop_index(name)
    await connection.open()
    assert await indexes_of(connection, collection) == INDEXES[collection]


async def test_two_unfinished_executions_of_one_workflow_are_named(connect: Connect) -> None:
    connection = connect()
    twice = [{"_id": number, "activeKey": "default:hello"} for number in range(2)]
    await connection.executions.insert_many(twice)
    with pytest.raises(Misconfigured) as refused:
        await connection.open()
    assert "two unfinished executions of one workflow" in str(refused.value)
    assert "default:hello" in str(refused.value)
    assert await connection.executions.count_documents({}) == 2
    await connection.executions.update_one({"_id": 1}, {"$unset": {"activeKey": ""}})
    await connection.open()


async def test_the_guard_refuses_a_second_holder_and_ignores_what_holds_nothing(
    connect: Connect,
) -> None:
    connection = connect()
    await connection.open()
    free: list[Json] = [{"_id": 1}, {"_id": 2}, {"_id": 3, "activeKey": None}]
    await connection.executions.insert_many([*free, {"_id": 4, "activeKey": None}])
    await connection.executions.insert_one({"_id": 5, "activeKey": "default:hello"})
    with pytest.raises(DuplicateKeyError) as refused:
        await connection.executions.insert_one({"_id": 6, "activeKey": "default:hello"})
    assert refused.value.details
    assert refused.value.details["keyPattern"] == {"activeKey": 1}


async def test_a_server_that_is_no_replica_set_is_refused_with_the_cure(tmp_path: Any) -> None:
    port = free_port()
    command = [find_mongod(), "--dbpath", str(tmp_path), "--port", str(port), "--nounixsocket"]
    mongod = ChildProcess("mongodb", [*command, "--bind_ip", "127.0.0.1"], sink=lambda *_: None)
    mongod.start()
    uri = f"mongodb://127.0.0.1:{port}/?directConnection=true"
    connection = MongoConnection(MongoSettings(uri, "alone", timedelta(seconds=30)), "tests")
    try:
        with pytest.raises(Misconfigured, match=r"replica set.*--replSet.*rs\.initiate"):
            await connection.open()
    finally:
        await connection.close()
        await asyncio.to_thread(mongod.stop)


async def test_a_server_that_is_away_is_unavailable(unique: str) -> None:
    uri = f"mongodb://127.0.0.1:{free_port()}/?replicaSet=rs0"
    connection = MongoConnection(MongoSettings(uri, unique, timedelta(milliseconds=300)), "tests")
    with pytest.raises(Unavailable, match="MongoDB"):
        await connection.open()
    await connection.close()
