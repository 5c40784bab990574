"""What a `mongodb` action does inside its transaction.

Extended JSON is read before anything is begun, so a wrong filter costs no transaction.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from pydantic import JsonValue
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection

from runner_svc.actions.extended_json import Raw, read_document, write_value
from shared.domain.data_actions import DEFAULT_LIMIT, MongodbAction, check_operators
from shared.domain.storable import MAX_OUTPUT, size_of
from shared.ports.actions import PermanentError

T = TypeVar("T")
Work = Callable[[AsyncCollection[Raw], AsyncClientSession], Awaitable[T]]
_TOO_LARGE: Final = (
    "the result has more than 1 MiB; take fewer fields with 'projection' or fewer "
    "documents with 'limit'"
)


def reading(params: MongodbAction) -> Work[JsonValue]:
    """Return what a `find` does; its result is plain JSON."""
    query = _query(params)
    projection = _document(params.projection, "projection") if params.projection else None
    sort = list(params.sort.items()) if params.sort else None
    limit = params.limit or DEFAULT_LIMIT

    async def find(collection: AsyncCollection[Raw], session: AsyncClientSession) -> JsonValue:
        found: list[JsonValue] = []
        size = 0
        async with collection.find(
            query, projection, sort=sort, limit=limit, session=session
        ) as cursor:
            async for raw in cursor:
                document = write_value(raw)
                size += size_of(document)
                # Told document by document: together they may be far larger than the memory.
                if size > MAX_OUTPUT:
                    raise PermanentError(_TOO_LARGE)
                found.append(document)
        return {"documents": found, "count": len(found)}

    return find


def writing(params: MongodbAction) -> Work[Raw]:
    """Return what an insert, update or delete does; its result still has the database's types."""
    match params.operation:
        case "insert":
            return _insert(params)
        case "update":
            return _update(params)
        case _:
            return _delete(params)


def _insert(params: MongodbAction) -> Work[Raw]:
    documents = [
        read_document(document, f"documents[{position}]")
        for position, document in enumerate(params.documents or ())
    ]

    async def insert(collection: AsyncCollection[Raw], session: AsyncClientSession) -> Raw:
        done = await collection.insert_many(documents, session=session)
        return {"insertedIds": done.inserted_ids, "insertedCount": len(done.inserted_ids)}

    return insert


def _update(params: MongodbAction) -> Work[Raw]:
    query, upsert = _query(params), bool(params.upsert)
    stages: Any = params.update
    change: Any = (
        [_document(stage, f"update[{position}]") for position, stage in enumerate(stages)]
        if isinstance(stages, list)
        else _document(stages, "update")
    )

    async def update(collection: AsyncCollection[Raw], session: AsyncClientSession) -> Raw:
        act = collection.update_many if params.many else collection.update_one
        done = await act(query, change, upsert=upsert, session=session)
        return {
            "matchedCount": done.matched_count,
            "modifiedCount": done.modified_count,
            "upsertedId": done.upserted_id,
        }

    return update


def _delete(params: MongodbAction) -> Work[Raw]:
    query = _query(params)

    async def delete(collection: AsyncCollection[Raw], session: AsyncClientSession) -> Raw:
        act = collection.delete_many if params.many else collection.delete_one
        return {"deletedCount": (await act(query, session=session)).deleted_count}

    return delete


def _query(params: MongodbAction) -> Raw:
    return _document(params.filter or {}, "filter")


def _document(value: JsonValue, field: str) -> Raw:
    """Read a document that the server evaluates; the last place to refuse code in it."""
    try:
        check_operators(value)
    except ValueError as error:
        raise PermanentError(f"'{field}' {error}") from None
    return read_document(value, field)
