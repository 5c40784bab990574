"""The action `mongodb`: one transaction on a database of the user's, its effect exactly once.

A write begins by inserting a marker whose `_id` is the idempotency key, and
ends by adding its result to it, all in one transaction. So the marker is there
if and only if the effect is. A second attempt, however late, and even beside
the first, meets the marker, gives up its own transaction and returns the result
that is stored there. The marker comes first, or a repeated insert would stumble
over the document it had itself inserted.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Self, TypeVar

import pymongo
from bson.errors import BSONError
from pydantic import JsonValue
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import DuplicateKeyError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from runner_svc.actions.extended_json import Raw, write_value
from runner_svc.actions.mongodb_connections import Connect, MongodbConnections, connect
from runner_svc.actions.mongodb_errors import failure
from runner_svc.actions.mongodb_operations import Work, reading, writing
from shared.domain.data_actions import RESULTS_COLLECTION, MongodbAction
from shared.domain.storable import MAX_OUTPUT, size_of
from shared.ports.actions import ActionContext, ActionError, PermanentError
from shared.ports.clock import Clock

DEFAULT_RETENTION: Final = timedelta(days=30)
_EXPIRY: Final = "expiry"
T = TypeVar("T")


class _AlreadyDone(Exception):
    """The marker is there: this action has had its effect."""


class MongodbTransactor:
    """Runs `mongodb` actions; use it as a context manager.

    `connections` holds the address of each database by its name; the platform's
    own is not among them unless somebody put it there. `retention` is how long
    results are kept, which must be longer than an execution may be repeated.
    """

    def __init__(
        self,
        connections: Mapping[str, str],
        clock: Clock,
        retention: timedelta = DEFAULT_RETENTION,
        connect: Connect = connect,
    ) -> None:
        self._connections = MongodbConnections(connections, connect)
        self._clock = clock
        self._retention = retention
        self._prepared: set[tuple[str, str]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connections.close()

    async def run(self, params: MongodbAction, context: ActionContext) -> JsonValue:
        """Do the operation once and return its result, as plain JSON.

        Raises ActionError: recoverable where the database is away or too slow,
        permanent for what would fail again. Either way nothing was changed, or
        the next attempt returns the result.
        """
        client = self._connections.client(params.connection)
        try:
            with pymongo.timeout(params.timeout.total_seconds()):
                if params.operation == "find":
                    return await _transaction(client, params, reading(params))
                return await self._write(client, params, context.idempotency_key)
        except (PyMongoError, BSONError) as error:
            told = failure(error, f"{params.database}.{params.collection}")
            said = self._connections.redacted(f"connection '{params.connection}': {told}")
            raise ActionError(said, category=told.category) from None

    async def _write(
        self, client: AsyncMongoClient[Raw], params: MongodbAction, key: str
    ) -> JsonValue:
        results = _results(client, params.database)
        await self._prepare(params, results)
        operation, now = writing(params), self._clock.now()
        marker = {"_id": key, "at": now, "expiresAt": now + self._retention}

        async def once(collection: AsyncCollection[Raw], session: AsyncClientSession) -> Raw:
            try:
                await results.insert_one(marker, session=session)
            except DuplicateKeyError:
                raise _AlreadyDone from None
            result = await operation(collection, session)
            if size_of(write_value(result)) > MAX_OUTPUT:
                raise PermanentError("the result has more than 1 MiB")
            await results.update_one({"_id": key}, {"$set": {"result": result}}, session=session)
            return result

        try:
            return write_value(await _transaction(client, params, once))
        except _AlreadyDone:
            return await _stored(results, key)

    async def _prepare(self, params: MongodbAction, results: AsyncCollection[Raw]) -> None:
        """Make sure that results expire; the index cannot be built within a transaction."""
        place = (params.connection, params.database)
        if place not in self._prepared:
            await results.create_index("expiresAt", name=_EXPIRY, expireAfterSeconds=0)
            self._prepared.add(place)


async def _transaction(client: AsyncMongoClient[Raw], params: MongodbAction, work: Work[T]) -> T:
    """Run `work` in a transaction, again and again while only the moment was bad for it.

    The driver repeats both the work and an unanswered commit, within the time limit around it.
    """
    collection = client[params.database][params.collection]
    async with client.start_session() as session:
        return await session.with_transaction(
            lambda session: work(collection, session),
            read_concern=ReadConcern(params.read_concern),
            write_concern=WriteConcern(w=params.write_concern),
            read_preference=ReadPreference.PRIMARY,
        )


def _results(client: AsyncMongoClient[Raw], database: str) -> AsyncCollection[Raw]:
    """Return the collection of results, read so that a failover takes nothing back.

    A linearizable read waits until what it sees is on a majority.
    """
    return client[database].get_collection(
        RESULTS_COLLECTION,
        read_concern=ReadConcern("linearizable"),
        write_concern=WriteConcern(w="majority"),
        read_preference=ReadPreference.PRIMARY,
    )


async def _stored(results: AsyncCollection[Raw], key: str) -> JsonValue:
    marker = await results.find_one({"_id": key})
    if marker is None:
        # Its transaction, with a write concern of 1, was committed but then undone by a failover.
        raise ActionError("the result of an earlier attempt is gone; nothing keeps a new one away")
    return write_value(marker["result"])
