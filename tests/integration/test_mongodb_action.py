"""The action `mongodb` on a real MongoDB: what it does, and that it does it once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from pydantic import JsonValue
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from runner_svc.actions.mongodb import MongodbTransactor
from shared.adapters.system.clock import SystemClock
from shared.domain.data_actions import RESULTS_COLLECTION, MongodbAction
from shared.domain.durations import parse_duration
from shared.ports.actions import ActionError
from tests.support.action_context import action_context
from tests.support.servers import mongodb_uri

Raw = dict[str, Any]
Do = Callable[..., Awaitable[Any]]


@pytest.fixture
async def database(unique: str) -> AsyncIterator[AsyncDatabase[Raw]]:
    """The user's database: empty, and not the platform's."""
    async with AsyncMongoClient[Raw](mongodb_uri(), tz_aware=True) as client:
        yield client[f"user-{unique}"]
        await client.drop_database(f"user-{unique}")


@pytest.fixture
async def transactor() -> AsyncIterator[MongodbTransactor]:
    # The server's own clock decides what has expired, so this must be the real time.
    async with MongodbTransactor({"default": mongodb_uri()}, SystemClock()) as made:
        yield made


@pytest.fixture
def do(transactor: MongodbTransactor, unique: str) -> Do:
    """Run an operation on the collection `things`, under an idempotency key."""

    async def run(key: str, operation: str, **fields: Any) -> JsonValue:
        params = MongodbAction.model_validate(
            {
                "type": "mongodb",
                "database": f"user-{unique}",
                "collection": "things",
                "operation": operation,
                "timeout": "2m",
                **fields,
            }
        )
        return await transactor.run(params, action_context(key))

    return run


async def things(database: AsyncDatabase[Raw]) -> list[Raw]:
    return await database.things.find(sort=[("_id", 1)]).to_list()


async def refusal(doing: Awaitable[Any]) -> ActionError:
    with pytest.raises(ActionError) as raised:
        await doing
    return raised.value


async def test_documents_are_inserted_found_updated_and_deleted(do: Do) -> None:
    documents = [{"_id": n, "n": n, "kind": "even" if n % 2 == 0 else "odd"} for n in range(5)]
    inserted = await do("1", "insert", documents=documents)
    assert inserted == {"insertedIds": [0, 1, 2, 3, 4], "insertedCount": 5}
    updated = await do("2", "update", filter={"kind": "odd"}, update={"$inc": {"n": 10}}, many=True)
    assert updated == {"matchedCount": 2, "modifiedCount": 2, "upsertedId": None}
    assert await do("3", "delete", filter={"kind": "even"}) == {"deletedCount": 1}
    found = await do(
        "4", "find", filter={"n": {"$gt": 1}}, sort={"n": -1}, projection={"n": 1}, limit=3
    )
    assert found == {
        "documents": [{"_id": 3, "n": 13}, {"_id": 1, "n": 11}, {"_id": 4, "n": 4}],
        "count": 3,
    }
    assert await do("5", "delete", filter={}, many=True) == {"deletedCount": 4}
    assert await do("6", "find") == {"documents": [], "count": 0}


async def test_an_update_may_insert_and_may_be_a_pipeline(
    do: Do, database: AsyncDatabase[Raw]
) -> None:
    upserted = await do("1", "update", filter={"_id": 7}, update={"$set": {"a": 1}}, upsert=True)
    assert upserted == {"matchedCount": 0, "modifiedCount": 0, "upsertedId": 7}
    await do("2", "update", filter={"_id": 7}, update=[{"$set": {"b": {"$add": ["$a", 1]}}}])
    assert await things(database) == [{"_id": 7, "a": 1, "b": 2}]


async def test_values_that_json_lacks_go_there_and_back_as_extended_json(do: Do) -> None:
    document = {
        "_id": {"$oid": "65f000000000000000000001"},
        "at": {"$date": "2026-01-31T02:00:00Z"},
        "far": {"$date": {"$numberLong": "253402300800000"}},
        "id": {"$uuid": "c8edabc3-f738-4ca3-b68d-ab92a91478a3"},
        "price": {"$numberDecimal": "19.99"},
        "not": {"$numberDouble": "NaN"},
        "big": 2**62,
        "none": None,
    }
    inserted = await do("1", "insert", documents=[document])
    assert inserted["insertedIds"] == [{"$oid": "65f000000000000000000001"}]
    found = await do("2", "find", filter={"at": {"$lte": {"$date": "2026-01-31T02:00:00Z"}}})
    (told,) = found["documents"]
    binary = {"base64": "yO2rw/c4TKO2jauSqRR4ow==", "subType": "04"}
    assert told == {**document, "id": {"$binary": binary}}


async def test_nothing_beside_a_pattern_is_overlooked(do: Do, database: AsyncDatabase[Raw]) -> None:
    await do("1", "insert", documents=[{"_id": name} for name in ("ab", "AC", "b")])
    query = {"_id": {"$regex": "^a", "$options": "i", "$ne": "ab"}}
    assert await do("2", "delete", filter=query, many=True) == {"deletedCount": 1}
    assert await things(database) == [{"_id": "ab"}, {"_id": "b"}]


async def test_a_repeated_action_has_one_effect_and_the_same_result(
    do: Do, database: AsyncDatabase[Raw]
) -> None:
    # The first result is lost, as if the runner had died between effect and report.
    first = [
        await do("insert", "insert", documents=[{"n": 1}, {"_id": 5, "n": 1}]),
        await do("update", "update", filter={"_id": 5}, update={"$inc": {"n": 1}}),
        await do("delete", "delete", filter={"n": 1}),
    ]
    before = await things(database)
    again = [
        await do("insert", "insert", documents=[{"n": 1}, {"_id": 5, "n": 1}]),
        await do("update", "update", filter={"_id": 5}, update={"$inc": {"n": 1}}),
        await do("delete", "delete", filter={"n": 1}),
    ]
    assert again == first
    assert await things(database) == before == [{"_id": 5, "n": 2}]


async def test_actions_at_the_same_time_have_one_effect_per_key(
    do: Do, database: AsyncDatabase[Raw]
) -> None:
    await database.things.insert_one({"_id": 1, "n": 0})
    told = await asyncio.gather(
        *(
            do(f"key-{n % 4}", "update", filter={"_id": 1}, update={"$inc": {"n": 1}})
            for n in range(16)
        )
    )
    assert await things(database) == [{"_id": 1, "n": 4}]
    assert told == [{"matchedCount": 1, "modifiedCount": 1, "upsertedId": None}] * 16


async def test_inserts_at_the_same_time_return_the_ids_of_the_one_that_won(
    do: Do, database: AsyncDatabase[Raw]
) -> None:
    told = await asyncio.gather(*(do("same", "insert", documents=[{"n": 1}]) for _ in range(8)))
    (thing,) = await things(database)
    assert told == [{"insertedIds": [{"$oid": str(thing["_id"])}], "insertedCount": 1}] * 8


async def test_the_marker_holds_the_result_and_expires_after_thirty_days(
    do: Do, database: AsyncDatabase[Raw]
) -> None:
    clock = SystemClock()
    before = clock.now()
    await do("the-key", "insert", documents=[{"_id": 1}])
    (marker,) = await database[RESULTS_COLLECTION].find().to_list()
    assert before <= marker["at"] <= clock.now()
    assert marker == {
        "_id": "the-key",
        "at": marker["at"],
        "expiresAt": marker["at"] + parse_duration("720h"),
        "result": {"insertedIds": [1], "insertedCount": 1},
    }
    (index,) = [
        options
        for options in (await database[RESULTS_COLLECTION].index_information()).values()
        if "expireAfterSeconds" in options
    ]
    assert (index["key"], index["expireAfterSeconds"]) == ([("expiresAt", 1)], 0)


async def test_a_find_leaves_nothing_behind(do: Do, database: AsyncDatabase[Raw]) -> None:
    await do("find", "find")
    assert await database.list_collection_names() == []


async def test_a_key_that_is_taken_is_named_and_nothing_is_left(
    do: Do, database: AsyncDatabase[Raw]
) -> None:
    await database.things.create_index("email", unique=True)
    await database.things.insert_one({"_id": 1, "email": "a@example.com"})
    documents = [{"_id": 2, "email": "b@example.com"}, {"_id": 3, "email": "a@example.com"}]
    error = await refusal(do("1", "insert", documents=documents))
    assert not error.retryable
    assert "key {'email': 'a@example.com'} is in" in str(error)
    assert [thing["_id"] for thing in await things(database)] == [1]
    assert await database[RESULTS_COLLECTION].count_documents({}) == 0
    # The key of the action is free again: a corrected document goes in.
    await do("1", "insert", documents=documents[:1])
    assert [thing["_id"] for thing in await things(database)] == [1, 2]


async def test_an_action_that_is_cancelled_leaves_nothing_and_blocks_nothing(
    do: Do, database: AsyncDatabase[Raw]
) -> None:
    await database.things.insert_one({"_id": 1, "n": 0})
    async with database.client.start_session() as session:
        await session.start_transaction()
        await database.things.update_one({"_id": 1}, {"$inc": {"n": 100}}, session=session)
        change = do("key", "update", filter={"_id": 1}, update={"$inc": {"n": 1}})
        task = asyncio.ensure_future(change)
        await asyncio.wait({task}, timeout=0.5)
        # One that comes just as the driver aborts and tries again may get lost in it.
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=1)
        assert task.cancelled()
        await session.abort_transaction()
    assert await database[RESULTS_COLLECTION].count_documents({}) == 0
    await do("key", "update", filter={"_id": 1}, update={"$inc": {"n": 1}}, timeout="20s")
    assert await things(database) == [{"_id": 1, "n": 1}]


async def test_a_document_that_stays_locked_is_retryable_within_the_time_limit(
    do: Do, database: AsyncDatabase[Raw]
) -> None:
    await database.things.insert_one({"_id": 1})
    loop = asyncio.get_running_loop()
    async with database.client.start_session() as session:
        await session.start_transaction()
        await database.things.update_one({"_id": 1}, {"$set": {"a": 1}}, session=session)
        started = loop.time()
        error = await refusal(do("key", "delete", filter={"_id": 1}, timeout="1s"))
        # The server ends such a transaction by itself only after a minute.
        assert loop.time() - started < 30
        await session.abort_transaction()
    assert error.retryable
    assert await do("key", "delete", filter={"_id": 1}) == {"deletedCount": 1}


@pytest.mark.parametrize(
    ("operation", "fields", "said"),
    [
        ("update", {"filter": {}, "update": {"$inc": {"_id": 1}}}, "_id"),
        ("find", {"filter": {"a": {"$foo": 1}}}, "unknown operator: $foo"),
        ("find", {"filter": {"_id": {"$oid": "x"}}}, "'filter' is not MongoDB Extended JSON"),
        ("find", {"filter": {"$oid": "65f000000000000000000001"}}, "'filter' must be a document"),
        ("insert", {"documents": [{}, {"a": {"$date": "x"}}]}, "'documents[1]' is not MongoDB"),
        ("insert", {"documents": [{"n": 2**64}]}, "'documents[0]' is not MongoDB Extended JSON"),
        ("insert", {"documents": [{"s": "\ud800"}]}, "'documents[0]' is not MongoDB"),
        ("insert", {"documents": [{"_id": "x" * 2**20}]}, "the result has more than 1 MiB"),
    ],
)
async def test_what_would_fail_again_is_permanent_and_changes_nothing(
    do: Do, database: AsyncDatabase[Raw], operation: str, fields: dict[str, Any], said: str
) -> None:
    await database.things.insert_one({"_id": 0})
    error = await refusal(do("key", operation, **fields))
    assert not error.retryable
    assert said in str(error)
    assert len(str(error)) < 2000
    assert await things(database) == [{"_id": 0}]
    assert await database[RESULTS_COLLECTION].count_documents({}) == 0


async def test_more_than_a_mebibyte_is_not_returned(do: Do, database: AsyncDatabase[Raw]) -> None:
    await database.things.insert_many([{"text": "x" * 2**16} for _ in range(20)])
    error = await refusal(do("key", "find"))
    assert not error.retryable
    assert "'projection'" in str(error)
    assert (await do("key", "find", limit=10))["count"] == 10
    assert (await do("key", "find", projection={"_id": 1}))["count"] == 20


async def test_a_find_returns_a_hundred_documents_unless_told_otherwise(
    do: Do, database: AsyncDatabase[Raw]
) -> None:
    await database.things.insert_many([{"_id": n} for n in range(150)])
    assert (await do("key", "find"))["count"] == 100
    assert (await do("key", "find", limit=120))["count"] == 120
