"""A platform with servers of its own, under a load that can be repeated: wave after wave."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx

from local.mongod import EmbeddedMongo
from shared.adapters.mongo.connection import MongoConnection, MongoSettings
from shared.adapters.mongo.executions import MongoExecutions
from shared.adapters.mongo.lifecycle import MongoArchive
from shared.adapters.system.clock import SystemClock
from shared.domain.catalogue import ActionCatalogue, ActionSpec
from shared.domain.lifecycle import lifecycle_of
from tests.support.builders import TENANT
from tests.support.event_tap import EventTap, event_tap
from tests.support.journal import Journal
from tests.support.load import add_due_workflows
from tests.support.own_servers import OwnBroker, own_broker, own_mongo
from tests.support.plugin.workflow_test_actions import JournalAction
from tests.support.stack import Stack, manual
from tests.support.waiting import eventually

DUE_AT_ONCE: Final = 20_000
BY_HAND: Final = 20
_TRIES: Final = 3000
_LEAD: Final = timedelta(seconds=2)
_RETENTION: Final = timedelta(days=30)
_SETTINGS: Final = {
    "POLL_INTERVAL": "1s",
    "LEASE": "20s",
    "LEASE_RENEWAL": "4s",
    "RESEND": "5s",
    "RESEND_MAX": "10s",
    "DRAIN": "5s",
    "KAFKA_SESSION_TIMEOUT": "6s",
    "MONGODB_TIMEOUT": "10s",
}


@dataclass
class Battlefield:
    """The platform, its servers, and what the runners did."""

    stack: Stack
    mongo_server: EmbeddedMongo
    mongo: MongoConnection
    broker: OwnBroker
    journal: Journal
    clock: SystemClock
    triggered: list[str] = field(default_factory=list)

    async def start_wave(self) -> datetime:
        """Make every workflow due at one instant, and return that."""
        self.journal.path.write_bytes(b"")
        self.triggered = []
        due = self.clock.now() + _LEAD
        changed = await self.mongo.workflows.update_many(
            {"trigger.type": "periodic"}, {"$set": {"trigger.nextRunAt": due}}
        )
        assert changed.matched_count == DUE_AT_ONCE
        return due

    async def completed(self, due: datetime) -> int:
        """Count the occurrences of a wave that have completed."""
        return await self._count(due, status="completed")

    async def trigger_by_hand(self) -> None:
        """Trigger some workflows again and again, as careful clients do; never ends by itself."""
        for round_number in range(1_000_000):
            for number in range(BY_HAND):
                await self._trigger(f"by-hand-{number}", f"{os.urandom(8).hex()}-{round_number}")
                await asyncio.sleep(0.02)

    async def _trigger(self, workflow_id: str, key: str) -> None:
        """Send one trigger until there is an answer, with one key."""
        for _ in range(_TRIES):
            try:
                response = await self.stack.request(
                    "POST",
                    f"/workflows/{workflow_id}/trigger",
                    headers={"Idempotency-Key": key},
                    timeout=30,
                )
            except (httpx.TransportError, httpx.InvalidURL, httpx.UnsupportedProtocol):
                await asyncio.sleep(0.1)
                continue
            if response.status_code == httpx.codes.ACCEPTED:
                self.triggered.append(response.json()["executionId"])
                return
            assert response.status_code in {409, 503}, response.text
            if response.status_code == httpx.codes.CONFLICT:
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"no answer to a trigger in {_TRIES} tries")

    async def unfinished(self) -> int:
        """Count executions that have not ended; each has an active key."""
        return await self.mongo.executions.count_documents({"activeKey": {"$gt": ""}})

    async def await_end(self, due: datetime) -> None:
        """Wait until every occurrence of a wave exists and nothing is unfinished."""

        async def missing() -> tuple[int, int]:
            return DUE_AT_ONCE - await self._count(due), await self.unfinished()

        await eventually(missing, lambda left: left == (0, 0), within=600, every=0.5)

    async def _count(self, due: datetime, **more: str) -> int:
        recent = {"tenant": TENANT, "createdAt": {"$gte": due - _LEAD}}
        return await self.mongo.executions.count_documents({**recent, "scheduledFor": due, **more})

    async def outcomes(self, due: datetime) -> Counter[tuple[str, str]]:
        """Count what became of a wave's occurrences: status, and category of the error."""
        found: Counter[tuple[str, str]] = Counter()
        async for document in self.mongo.executions.find({"scheduledFor": due}):
            error = document.get("error") or {}
            found[document["status"], error.get("category", "")] += 1
        return found

    async def finished_at(self, due: datetime) -> Mapping[str, float]:
        """Return when each execution since the start of a wave was recorded as completed."""
        cursor = self.mongo.executions.find(
            {"createdAt": {"$gte": due - _LEAD}, "status": "completed"}, {"finishedAt": 1}
        )
        return {
            document["_id"]: document["finishedAt"].replace(tzinfo=UTC).timestamp()
            async for document in cursor
        }

    def subscribed(self) -> AbstractAsyncContextManager[EventTap]:
        """Subscribe to the lifecycle events from now on."""
        topic = f"{self.stack.env['KAFKA_TOPIC_PREFIX']}execution-events"
        return event_tap(self.broker.address, topic, start="latest")

    async def lifecycle(self, due: datetime) -> set[str]:
        """Return the ids of all lifecycle events since the start of a wave, by the histories."""
        since = due - _LEAD
        archive = MongoArchive(self.mongo.executions)
        return {
            event.id
            async for page in archive.touched(since, _RETENTION)
            for execution in page
            for event in lifecycle_of(execution, since)
        }

    async def orphans(self) -> int:
        """Count unfinished executions without `wakeAt`."""
        return await MongoExecutions(self.mongo.executions).orphans()


@asynccontextmanager
async def battlefield(kind: str, unique: str, directory: Path) -> AsyncIterator[Battlefield]:
    """Start servers and services, and store the load."""
    journal = Journal(directory / "journal")
    with own_broker(kind) as broker, own_mongo() as server:
        await broker.start()
        await asyncio.to_thread(server.start)
        stack = Stack(kind, unique, _SETTINGS, mongodb=server.uri, kafka=broker.address)
        database = stack.env["MONGODB_DATABASE"]
        mongo = MongoConnection(MongoSettings(server.uri, database, timedelta(seconds=30)), "tests")
        try:
            await stack.start()
            await mongo.open()
            await _store(stack, mongo, journal)
            clock = SystemClock()
            await clock.follow(mongo.server_time)
            yield Battlefield(stack, server, mongo, broker, journal, clock)
        finally:
            await stack.close()
            await mongo.close()


async def _store(stack: Stack, mongo: MongoConnection, journal: Journal) -> None:
    later = datetime.now(UTC) + timedelta(hours=4)
    action: dict[str, Any] = journal.action()
    await add_due_workflows(
        mongo, ActionCatalogue([ActionSpec(JournalAction)]), DUE_AT_ONCE, later, [action]
    )
    for number in range(BY_HAND):
        await stack.create(manual(f"by-hand-{number}", journal.action()))
