"""Pauses in MongoDB, beside services of a release that knows of none."""

from typing import Any

from shared.adapters.mongo.connection import MongoConnection
from shared.adapters.mongo.workflows import MongoWorkflows
from shared.domain.pause import Pause
from shared.domain.pausing import pause
from tests.support.builders import CATALOGUE, NOW, SECOND, TENANT, workflow

WHY = Pause(NOW, "moving house")


async def test_a_workflow_that_was_never_paused_is_stored_as_before(mongo: MongoConnection) -> None:
    await MongoWorkflows(mongo, CATALOGUE).add(workflow("p", interval="10s"))
    document = await mongo.workflows.find_one({})
    assert document is not None
    assert {"paused", "resumedAt", "pauseOnFailure", "narrowed"}.isdisjoint(document)


async def test_a_paused_workflow_is_one_that_is_not_enabled(mongo: MongoConnection) -> None:
    await MongoWorkflows(mongo, CATALOGUE).add(pause(workflow("p", interval="10s"), WHY))
    assert await mongo.workflows.count_documents({"enabled": True}) == 0


async def test_an_older_release_that_enables_a_paused_workflow_ends_the_pause(
    mongo: MongoConnection,
) -> None:
    workflows = MongoWorkflows(mongo, CATALOGUE)
    await workflows.add(pause(workflow("p", interval="10s"), WHY))
    enabled: dict[str, Any] = {"$set": {"enabled": True}}
    await mongo.workflows.update_one({}, enabled)
    on = await workflows.get(TENANT, "p")
    assert on is not None
    assert (on.enabled, on.paused) == (True, None)
    again = pause(on, Pause(NOW + SECOND, "again"))
    assert await workflows.save(on, again)
    assert await workflows.get(TENANT, "p") == again
