"""Each repository fixture exists once per adapter, so one suite proves them all."""

from typing import cast

import pytest

from shared.adapters.memory.executions import MemoryExecutions
from shared.adapters.memory.operations import MemoryDeadLetters, MemoryMembers
from shared.adapters.memory.workflows import MemoryWorkflows
from shared.adapters.mongo.connection import MongoConnection
from shared.adapters.mongo.executions import MongoExecutions
from shared.adapters.mongo.operations import MongoDeadLetters, MongoMembers
from shared.adapters.mongo.workflows import MongoWorkflows
from shared.ports.dead_letters import DeadLetterRepository
from shared.ports.executions import ExecutionRepository
from shared.ports.members import MemberRepository
from shared.ports.workflows import WorkflowRepository
from tests.support.builders import CATALOGUE


@pytest.fixture(params=["memory", "mongo"])
def storage(request: pytest.FixtureRequest) -> MongoConnection | None:
    """An empty MongoDB database, or None for the adapters in memory."""
    if request.param == "memory":
        return None
    return cast("MongoConnection", request.getfixturevalue("mongo"))


@pytest.fixture
def executions(storage: MongoConnection | None) -> ExecutionRepository:
    return MongoExecutions(storage.executions) if storage else MemoryExecutions()


@pytest.fixture
def workflows(storage: MongoConnection | None) -> WorkflowRepository:
    return MongoWorkflows(storage, CATALOGUE) if storage else MemoryWorkflows()


@pytest.fixture
def dead_letters(storage: MongoConnection | None) -> DeadLetterRepository:
    return MongoDeadLetters(storage) if storage else MemoryDeadLetters()


@pytest.fixture
def members(storage: MongoConnection | None) -> MemberRepository:
    return MongoMembers(storage) if storage else MemoryMembers()
