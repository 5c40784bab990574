"""Connecting to MongoDB, and making sure of the indexes that the promises rest on."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pymongo
from beanie import init_beanie
from bson.codec_options import CodecOptions
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import (
    ConfigurationError,
    DuplicateKeyError,
    InvalidName,
    OperationFailure,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from shared.adapters.mongo.documents import (
    ACTIVE_KEY_INDEX,
    BUFFER_KEY_INDEX,
    DOCUMENTS,
    DeadLetterDocument,
    EventPublisherDocument,
    ExecutionDocument,
    MemberDocument,
    VersionDocument,
    WorkflowDocument,
)
from shared.adapters.mongo.errors import translated
from shared.domain.errors import Misconfigured

Raw = dict[str, Any]
_GOODBYE_SECONDS: Final = 2
_LOGIN_FAILED, _NOT_ALLOWED = 18, 13


@dataclass(frozen=True, slots=True)
class MongoSettings:
    """Where MongoDB is, and how long one operation may take."""

    uri: str
    database: str
    timeout: timedelta


class MongoConnection:
    """One client of one database. `open` may be repeated until MongoDB answers."""

    def __init__(self, settings: MongoSettings, service: str) -> None:
        try:
            self._client: AsyncMongoClient[Raw] = AsyncMongoClient(
                settings.uri,
                appname=service,
                tz_aware=True,
                tzinfo=UTC,
                timeoutMS=int(settings.timeout / timedelta(milliseconds=1)),
                connectTimeoutMS=2_000,
                retryWrites=True,
                maxPoolSize=100,
            )
            self._database: AsyncDatabase[Raw] = self._client.get_database(
                settings.database,
                write_concern=WriteConcern(w="majority", j=True),
                read_concern=ReadConcern("majority"),
            )
        except (InvalidName, ConfigurationError) as error:
            raise Misconfigured(
                f"MONGODB_URI or MONGODB_DATABASE is wrong: {error}. "
                "An address looks like mongodb://127.0.0.1:27017/?replicaSet=rs0."
            ) from error

    @property
    def executions(self) -> AsyncCollection[Raw]:
        """The collection of executions, with naive instants (see `mapping.aware`)."""
        return self._collection(ExecutionDocument.Settings.name)

    @property
    def workflows(self) -> AsyncCollection[Raw]:
        """The collection of workflows, with naive instants."""
        return self._collection(WorkflowDocument.Settings.name)

    @property
    def versions(self) -> AsyncCollection[Raw]:
        """The collection of definition versions."""
        return self._collection(VersionDocument.Settings.name)

    @property
    def dead_letters(self) -> AsyncCollection[Raw]:
        """The collection of dead letters, with naive instants."""
        return self._collection(DeadLetterDocument.Settings.name)

    @property
    def members(self) -> AsyncCollection[Raw]:
        """The collection of live schedulers, with naive instants."""
        return self._collection(MemberDocument.Settings.name)

    @property
    def event_publishers(self) -> AsyncCollection[Raw]:
        """The collection of watermarks, with naive instants."""
        return self._collection(EventPublisherDocument.Settings.name)

    def _collection(self, name: str) -> AsyncCollection[Raw]:
        """The driver makes instants aware in Python, 2 µs each; as naive ones they cost nothing."""
        return self._database.get_collection(name, codec_options=CodecOptions(tz_aware=False))

    async def open(self) -> None:
        """Build the indexes and verify the one that keeps a workflow from running twice.

        Raises Unavailable while MongoDB does not answer, Misconfigured if it is
        no replica set or holds data that breaks a unique index.
        """
        with translated(), _naming_refusals():
            hello = await self._client.admin.command("hello")
            if "setName" not in hello:
                raise Misconfigured(
                    "MongoDB must run as a replica set (majority writes and failover need it). "
                    "Start mongod with --replSet rs0 and run rs.initiate() once; one node will do."
                )
            await self._build_indexes()
            await self._verify_guard()

    async def ping(self) -> None:
        """Raise Unavailable unless a primary answers."""
        with translated():
            await self._client.admin.command("ping")

    async def server_time(self) -> datetime:
        """Return the database's idea of now, cut to whole milliseconds."""
        with translated():
            hello = await self._client.admin.command(
                "hello", codec_options=self._database.codec_options
            )
        told: datetime = hello["localTime"]
        return told

    async def close(self) -> None:
        """Close every connection. Saying goodbye to a server that is away is given up soon."""
        with pymongo.timeout(_GOODBYE_SECONDS):
            await self._client.close()

    async def drop(self) -> None:
        """Delete the whole database; for tests and benchmarks."""
        await self._client.drop_database(self._database.name)

    async def _build_indexes(self) -> None:
        try:
            await init_beanie(database=self._database, document_models=list(DOCUMENTS))
        except DuplicateKeyError as error:
            raise Misconfigured(
                "The collection 'executions' holds two unfinished executions of one workflow, so "
                "the unique index on 'activeKey' cannot be built. Cancel or remove one of them: "
                f"{error.details and error.details.get('keyValue')}"
            ) from error
        except OperationFailure as error:
            if error.code in {85, 86}:
                raise Misconfigured(
                    f"An index exists with other options than this version needs: {error}. "
                    "Drop that index; it is built anew at the next start."
                ) from error
            raise

    async def _verify_guard(self) -> None:
        indexes = await self.executions.index_information()
        for name, field in ((ACTIVE_KEY_INDEX, "activeKey"), (BUFFER_KEY_INDEX, "bufferKey")):
            if not indexes.get(name, {}).get("unique"):
                raise Misconfigured(
                    f"The unique index on executions.{field} is missing; without it a workflow "
                    "could run, or let wait, more than it may. Check that the database user may "
                    "create indexes."
                )


@contextmanager
def _naming_refusals() -> Iterator[None]:
    """Say that the user in MONGODB_URI may not log in, or not do what a service must."""
    try:
        yield
    except OperationFailure as error:
        if error.code not in {_LOGIN_FAILED, _NOT_ALLOWED}:
            raise
        raise Misconfigured(
            f"MongoDB refuses the user in MONGODB_URI: {error.details and error.details['errmsg']} "
            "Check its name, password and authSource, and its right to read and write."
        ) from error
