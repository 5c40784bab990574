"""Where MongoDB keeps the events of a long history."""

from typing import Any

import pytest

from shared.adapters.mongo.connection import MongoConnection
from shared.adapters.mongo.executions import MongoExecutions
from shared.domain import transitions
from shared.domain.execution import Execution
from shared.domain.outcomes import Timing
from shared.ports.executions import Change
from tests.contract.steps import claimed, stored
from tests.support.builders import NOW, queued


async def _grow(executions: MongoExecutions, execution: Execution, events: int) -> Execution:
    for _ in range(events):
        before = execution.evolve(history=())
        execution = transitions.complete_action(
            before, "a", attempt=1, started_at=NOW, output=1, now=NOW
        )
        await executions.record([Change(before, execution)])
    return execution


async def _document(mongo: MongoConnection, execution: Execution) -> Any:
    found = await mongo.executions.find_one({"_id": execution.id})
    assert found is not None
    return found


async def _chunks(mongo: MongoConnection) -> list[Any]:
    collection = mongo.executions.database["execution_history"]
    return await collection.find({}).sort("first").to_list()


async def test_the_document_keeps_only_the_newest_events(mongo: MongoConnection) -> None:
    executions = MongoExecutions(mongo.executions)
    grown = await _grow(executions, await claimed(executions, queued()), 250)
    assert len((await _document(mongo, grown))["history"]) < 120
    chunks = await _chunks(mongo)
    assert [(c["first"], c["last"]) for c in chunks] == [(1, 80), (81, 180)]


async def test_an_overflow_that_was_cut_short_is_finished_by_the_next(
    mongo: MongoConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    executions = MongoExecutions(mongo.executions)

    async def crash(*_: object) -> None:
        """The process dies once the chunk is written."""

    update_one = mongo.executions.update_one
    collection = executions._chunks._executions
    monkeypatch.setattr(collection, "update_one", crash, raising=False)
    grown = await _grow(executions, await claimed(executions, queued()), 110)
    assert len((await _document(mongo, grown))["history"]) == 112
    monkeypatch.setattr(collection, "update_one", update_one, raising=False)
    grown = await _grow(executions, grown, 200)
    assert [e.seq for e in (await stored(executions, grown)).history] == list(range(1, 313))
    assert len((await _document(mongo, grown))["history"]) < 120


async def test_chunks_expire_with_their_execution(mongo: MongoConnection) -> None:
    executions = MongoExecutions(mongo.executions)
    grown = await _grow(executions, await claimed(executions, queued()), 150)
    (chunk,) = await _chunks(mongo)
    assert chunk["expiresAt"] is None
    before = grown.evolve(history=())
    ended = transitions.complete(before, NOW, Timing().retention)
    await executions.record([Change(before, ended)])
    (chunk,) = await _chunks(mongo)
    document = await _document(mongo, grown)
    assert chunk["expiresAt"].replace(tzinfo=None) == document["expiresAt"].replace(tzinfo=None)


async def test_a_short_history_has_no_chunks(mongo: MongoConnection) -> None:
    executions = MongoExecutions(mongo.executions)
    grown = await _grow(executions, await claimed(executions, queued()), 50)
    assert len((await _document(mongo, grown))["history"]) == 52
    assert await _chunks(mongo) == []
