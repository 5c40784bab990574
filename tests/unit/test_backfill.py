"""Planning to run what has passed: which instants, under which names."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from shared.adapters.memory.ledger import MemoryLedger
from shared.domain.execution import SkipReason, Status
from shared.domain.identity import occurrence_id
from shared.domain.instants import format_instant
from shared.runtime.health import Health
from tests.support.builders import CATALOGUE, TENANT
from tests.unit.test_why_occurrence import HOURLY, Book, at
from workflows_svc.app import create_app
from workflows_svc.use_cases.backfill import PlanBackfill

Json = dict[str, Any]


@pytest.fixture
async def book() -> Book:
    return Book()


@pytest.fixture
async def client(book: Book) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Health(), CollectorRegistry(), CATALOGUE, 10_000)
    plan = PlanBackfill(book.define, MemoryLedger(book.executions), book.clock)
    app.state.services = SimpleNamespace(backfill=plan)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as made:
        yield made


async def asked(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    span = {"from": format_instant(at(0.5)), "to": format_instant(at(5)), "dryRun": True}
    return await client.post("/workflows/hello/backfill", json={**span, **body})


async def planned(client: httpx.AsyncClient, **body: Any) -> Json:
    answer = await asked(client, **body)
    assert answer.status_code == HTTPStatus.OK, answer.text
    found: Json = answer.json()
    return found


def hours(plan: Json) -> list[str]:
    return [item["at"][11:13] for item in plan["items"]]


async def _ran(book: Book, hour: float, status: Status, run: int = 0) -> str:
    fired = await book.fire(hour)
    own = occurrence_id(TENANT, "hello", "periodic", at(hour), run)
    book.executions._by_id.pop(fired.id)
    book.executions._put(fired.evolve(id=own, status=status, active_key=None))
    book.executions._holders.clear()
    return own


async def test_what_nothing_ran_for_is_run_under_the_first_number(
    book: Book, client: httpx.AsyncClient
) -> None:
    await book.define_as(HOURLY)
    await _ran(book, 1, Status.COMPLETED)
    await book.skip(SkipReason.MISSED, 2, 3, 4)
    await _ran(book, 4, Status.FAILED)
    await book.pass_time(2)
    plan = await planned(client)
    assert (hours(plan), plan["left"], plan["dryRun"]) == (["02", "03"], 2, True)
    own = [item["executionId"] for item in plan["items"]]
    assert own == [occurrence_id(TENANT, "hello", "periodic", at(n), 1) for n in (2, 3)]
    assert len(list(book.executions.stored())) == 3


@pytest.mark.parametrize(
    ("existing", "run", "left"),
    [("none", ["03"], 3), ("failed", ["02", "03"], 2), ("all", ["01", "02", "03"], 1)],
)
async def test_what_ran_already_is_run_again_only_if_that_is_asked_for(
    book: Book, client: httpx.AsyncClient, existing: str, run: list[str], left: int
) -> None:
    await book.define_as(HOURLY)
    await _ran(book, 1, Status.COMPLETED)
    await _ran(book, 2, Status.FAILED)
    await _ran(book, 4, Status.RUNNING)
    await book.pass_time(1)
    plan = await planned(client, existing=existing)
    assert (hours(plan), plan["left"]) == (run, left)


async def test_the_last_run_of_an_instant_counts_and_the_next_has_its_number(
    book: Book, client: httpx.AsyncClient
) -> None:
    await book.define_as(HOURLY)
    await _ran(book, 1, Status.FAILED)
    await _ran(book, 1, Status.COMPLETED, run=1)
    await _ran(book, 2, Status.COMPLETED)
    last = await _ran(book, 2, Status.FAILED, run=10)
    await book.pass_time(3)
    (item,) = (await planned(client, existing="failed", to=format_instant(at(3))))["items"]
    assert (item["lastExecutionId"], item["lastStatus"]) == (last, "failed")
    assert item["executionId"] == occurrence_id(TENANT, "hello", "periodic", at(2), 11)


async def test_a_range_before_the_workflow_was_created_is_reckoned_back(
    book: Book, client: httpx.AsyncClient
) -> None:
    await book.define_as(HOURLY)
    plan = await planned(client, **{"from": format_instant(at(-3)), "to": format_instant(at(0))})
    assert hours(plan) == ["21", "22", "23"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"to": "2026-01-01T00:00:00Z"}, "/to"),
        ({"to": "2026-01-01T09:00:00Z"}, "/to"),
        ({"from": "2020-01-01T00:00:00Z"}, "/to"),
        ({"from": "yesterday"}, "/from"),
        ({"existing": "some"}, "/existing"),
        ({"dryRun": False}, "/dryRun"),
        ({"limit": 3}, "/limit"),
    ],
)
async def test_a_range_that_cannot_be_is_refused_with_its_place(
    book: Book, client: httpx.AsyncClient, body: Json, pointer: str
) -> None:
    await book.define_as(HOURLY)
    await book.pass_time(6)
    answer = await asked(client, **body)
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_a_thousand_instants_are_planned_and_no_more(
    book: Book, client: httpx.AsyncClient
) -> None:
    await book.define_as({"type": "periodic", "interval": "1s"})
    await book.pass_time(1)
    end = {"to": "2026-01-01T00:16:41Z"}
    assert len((await planned(client, **{"from": "2026-01-01T00:00:01Z", **end}))["items"]) == 1000
    answer = await asked(client, **{"from": "2026-01-01T00:00:00Z", **end})
    assert "1001 instants" in answer.json()["errors"][0]["detail"]


async def test_a_workflow_without_a_schedule_has_nothing_to_backfill(
    book: Book, client: httpx.AsyncClient
) -> None:
    assert (await asked(client)).status_code == HTTPStatus.NOT_FOUND
    await book.define_as({"type": "manual"})
    await book.pass_time(6)
    answer = await asked(client)
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "no schedule" in answer.json()["detail"]
