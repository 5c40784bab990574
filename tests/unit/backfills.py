"""The book of a workflow whose schedule is dealt with, and backfills that are asked for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import httpx
from prometheus_client import CollectorRegistry

from shared.adapters.memory.ledger import MemoryLedger
from shared.domain.due import due_workflows
from shared.domain.execution import Status
from shared.domain.identity import occurrence_id
from shared.domain.instants import format_instant
from shared.ports.bus import WorkflowFreed
from shared.ports.workflows import Advance
from shared.runtime.health import Health
from tests.support.builders import CATALOGUE, TENANT
from tests.unit.test_why_occurrence import Book, at
from workflows_svc.app import create_app
from workflows_svc.use_cases.backfill import PlanBackfill, RunBackfill

Json = dict[str, Any]
KEY = "default:hello"


class Kept(Book):
    """A book whose schedule is dealt with as time passes, as far as it says nothing else."""

    async def pass_time(self, hours: float) -> None:
        await super().pass_time(hours)
        await self.deal_with(self.clock.now())

    async def deal_with(self, until: datetime) -> None:
        """Move the places of all triggers behind an instant."""
        for due in due_workflows(await self.define.get(TENANT, "hello")):
            following = due.timetable.next_place(until)
            version, name = due.version, due.trigger_id
            move = Advance(TENANT, "hello", version, due.next_run_at, following, trigger_id=name)
            await self.workflows.advance([move])


@asynccontextmanager
async def served(book: Kept) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the backfills of a book's workflow."""
    app = create_app(Health(), CollectorRegistry(), CATALOGUE, 10_000)
    plan = PlanBackfill(book.define, MemoryLedger(book.executions), book.clock)
    freed: list[WorkflowFreed] = []
    run = RunBackfill(plan, book.executions, book.clock, book.timing, freed.append)
    app.state.services = SimpleNamespace(plan_backfill=plan, backfill=run)
    app.state.freed = freed
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as made:
        yield made


async def asked(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    """Ask what a backfill of the first five hours would run, if nothing else is said."""
    span = {"from": format_instant(at(0.5)), "to": format_instant(at(5)), "dryRun": True}
    return await client.post("/workflows/hello/backfill", json={**span, **body})


async def planned(client: httpx.AsyncClient, **body: Any) -> Json:
    """Return what is answered."""
    answer = await asked(client, **body)
    assert answer.status_code == HTTPStatus.OK, answer.text
    found: Json = answer.json()
    return found


def hours(plan: Json) -> list[str]:
    """Return the hours of what is run."""
    return [item["at"][11:13] for item in plan["items"]]


async def ran(book: Kept, hour: float, status: Status, run: int = 0) -> str:
    """Let something have run for an hour; returns its id."""
    fired = await book.fire(hour)
    own = occurrence_id(TENANT, "hello", "periodic", at(hour), run)
    book.executions._by_id.pop(fired.id)
    book.executions._put(fired.evolve(id=own, status=status, active_key=None))
    book.executions._holders.clear()
    return own
