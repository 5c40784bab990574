"""How triggers are stored, so that releases before and after one another can share a database."""

from datetime import UTC, timedelta
from typing import Any

import pytest

from shared.adapters.mongo.connection import MongoConnection
from shared.adapters.mongo.workflows import MongoWorkflows
from shared.domain.catalogue import definition_text
from shared.domain.rescheduling import redefine
from shared.domain.triggers import ForeignTrigger
from shared.domain.workflow import Workflow
from shared.ports.workflows import Upcoming
from tests.support.builders import CATALOGUE, NOW, SECOND, TENANT, definition, workflow

OFTEN: dict[str, Any] = {"id": "often", "type": "periodic", "interval": "10s"}
HOURLY: dict[str, Any] = {"id": "hourly", "type": "cron", "schedule": "0 * * * *"}
SEVERAL = workflow("a", triggers=[OFTEN, HOURLY])
LATER = NOW + timedelta(hours=9)


@pytest.fixture
def workflows(mongo: MongoConnection) -> MongoWorkflows:
    return MongoWorkflows(mongo, CATALOGUE)


async def _kept(mongo: MongoConnection, workflow: Workflow) -> dict[str, Any]:
    found = await mongo.workflows.find_one({"_id": workflow.key})
    assert found is not None
    return found


async def _kept_text(mongo: MongoConnection) -> str:
    (found,) = await mongo.versions.find({}).to_list()
    text: str = found["definition"]
    return text


async def test_one_trigger_is_stored_by_itself(
    mongo: MongoConnection, workflows: MongoWorkflows
) -> None:
    one = workflow("a", interval="10s")
    await workflows.add(one)
    await workflows.add_version(TENANT, one.definition, 1)
    trigger = (await _kept(mongo, one))["trigger"]
    at = trigger.pop("nextRunAt")
    assert {name: value for name, value in trigger.items() if value is not None} == {
        "type": "periodic",
        "interval": "10s",
    }
    assert at.replace(tzinfo=UTC) == NOW + 10 * SECOND
    assert await _kept_text(mongo) == definition_text(one.definition)


async def test_an_earlier_release_reads_several_triggers_as_one_that_it_leaves_alone(
    mongo: MongoConnection, workflows: MongoWorkflows
) -> None:
    await workflows.add(SEVERAL)
    await workflows.add_version(TENANT, SEVERAL.definition, 1)
    kept = await _kept(mongo, SEVERAL)
    assert kept["trigger"]["type"] == "several"
    assert kept["trigger"]["nextRunAt"].replace(tzinfo=UTC) == NOW + 10 * SECOND
    assert "triggers" not in kept
    seen = CATALOGUE.restore_text(await _kept_text(mongo))
    assert isinstance(seen.trigger, ForeignTrigger)
    assert seen.actions == SEVERAL.definition.actions


async def test_what_an_earlier_release_put_in_the_place_of_several_triggers_is_all_there_is(
    mongo: MongoConnection, workflows: MongoWorkflows
) -> None:
    await workflows.add(SEVERAL)
    theirs = {"type": "periodic", "interval": "20s", "nextRunAt": NOW + 20 * SECOND}
    await mongo.workflows.update_one({}, {"$set": {"trigger": theirs, "version": 2}})
    found = await workflows.get(TENANT, "a")
    assert found
    assert found.definition == definition("a", interval="20s")
    assert found.next_runs == {"periodic": NOW + 20 * SECOND}
    assert await workflows.due(LATER, None, 9) == [Upcoming(TENANT, "a", NOW + 20 * SECOND)]


async def test_a_workflow_that_an_earlier_release_deleted_can_come_back(
    mongo: MongoConnection, workflows: MongoWorkflows
) -> None:
    await workflows.add(SEVERAL)
    texts = [{**OFTEN, "nextRunAt": "2026-01-01T00:00:10Z"}, {**HOURLY}]
    gone = {
        "enabled": False,
        "deletedAt": NOW,
        "trigger": {"type": "several", "triggers": texts},
    }
    await mongo.workflows.update_one({}, {"$set": gone})
    tombstone = await workflows.get(TENANT, "a")
    assert tombstone
    back = workflow("a", triggers=[OFTEN, HOURLY], now=NOW + SECOND)
    assert await workflows.save(tombstone, back) is True
    assert await workflows.get(TENANT, "a") == back


async def test_nothing_of_several_triggers_is_left_behind_by_one(
    mongo: MongoConnection, workflows: MongoWorkflows
) -> None:
    await workflows.add(SEVERAL)
    one = redefine(SEVERAL, definition("a", interval="20s"), 2, NOW)
    assert await workflows.save(SEVERAL, one) is True
    kept = await _kept(mongo, SEVERAL)
    assert set(kept["trigger"]) == {"type", "interval", "nextRunAt"}
    assert await workflows.get(TENANT, "a") == one
