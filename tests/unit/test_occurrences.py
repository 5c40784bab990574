"""The ledger over HTTP: pages, ranges, and what is refused."""

from collections.abc import AsyncIterator
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from shared.domain.execution import SkipReason
from shared.runtime.health import Health
from tests.support.builders import CATALOGUE, TENANT
from tests.unit.test_why_occurrence import HOURLY, Book
from workflows_svc.app import create_app

PATH = "/workflows/hello/occurrences"


@pytest.fixture
async def book() -> Book:
    made = Book()
    await made.define_as(HOURLY)
    return made


@pytest.fixture
async def client(book: Book) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Health(), CollectorRegistry(), CATALOGUE, 10_000)
    app.state.services = SimpleNamespace(ledger=book.ledger)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as made:
        yield made


async def read(client: httpx.AsyncClient, **params: Any) -> dict[str, Any]:
    answer = await client.get(PATH, params=params)
    assert answer.status_code == HTTPStatus.OK, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_the_ledger_is_listed_with_ranges_as_one_item(
    book: Book, client: httpx.AsyncClient
) -> None:
    fired = await book.fire(1)
    await book.skip(SkipReason.MISSED, 2, 4, 5)
    range_, single = (await read(client))["items"]
    assert range_ == {
        "at": "2026-01-01T02:00:00.000Z",
        "to": "2026-01-01T04:00:00.000Z",
        "count": 3,
        "trigger": "periodic",
        "outcome": "skipped",
        "reason": "missed",
        "executionId": "default:hello:periodic:2026-01-01T02:00:00.000Z:0",
        "status": "skipped",
    }
    assert single == {
        "at": "2026-01-01T01:00:00.000Z",
        "count": 1,
        "trigger": "periodic",
        "outcome": "fired",
        "executionId": fired.id,
        "status": "queued",
    }
    assert (await read(client, outcome="fired"))["items"] == [single]
    inside = {"from": "2026-01-01T03:00:00Z", "to": "2026-01-01T03:30:00Z"}
    assert (await read(client, **inside))["items"] == [range_]
    assert (await read(client, **{"from": "2026-01-01T04:00:00.001Z"}))["items"] == []


async def test_pages_follow_each_other(book: Book, client: httpx.AsyncClient) -> None:
    for hour in range(1, 6):
        await book.skip(SkipReason.OVERLAP, hour, hour, hour)
    first = await read(client, limit=3)
    second = await read(client, limit=3, cursor=first["nextCursor"])
    hours = [item["at"][11:13] for item in first["items"] + second["items"]]
    assert hours == ["05", "04", "03", "02", "01"]
    assert "nextCursor" not in second


async def test_the_ledger_of_a_deleted_workflow_can_be_read(
    book: Book, client: httpx.AsyncClient
) -> None:
    await book.fire(1)
    await book.pass_time(1.5)
    await book.define.delete(TENANT, "hello", None)
    superseded, fired = (await read(client))["items"]
    assert (superseded["reason"], fired["outcome"]) == ("superseded", "fired")
    assert (await client.get("/workflows/nobody/occurrences")).status_code == HTTPStatus.NOT_FOUND


async def test_why_is_answered_for_an_instant(book: Book, client: httpx.AsyncClient) -> None:
    await book.skip(SkipReason.MISSED, 2, 4, 5)
    answer = (await client.get(f"{PATH}/2026-01-01T04:00:00+01:00/why")).json()
    assert (answer["workflowId"], answer["instant"]) == ("hello", "2026-01-01T03:00:00.000Z")
    assert answer["why"].startswith("It did not run (missed)")
    assert answer["occurrence"]["count"] == 3
    none = (await client.get(f"{PATH}/2026-01-01T03:30:00Z/why")).json()
    assert "occurrence" not in none
    assert (none["before"], none["after"]) == (
        "2026-01-01T03:00:00.000Z",
        "2026-01-01T04:00:00.000Z",
    )


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        (f"{PATH}?from=yesterday", "query/from"),
        (f"{PATH}?to=2026-01-01", "query/to"),
        (f"{PATH}?until=2026-01-01T00:00:00Z", "query/until"),
        (f"{PATH}?cursor=x", "query/cursor"),
        (f"{PATH}?outcome=lost", "query/outcome/0"),
        (f"{PATH}/yesterday/why", "path/instant"),
    ],
)
async def test_what_is_wrong_is_refused_with_its_place(
    client: httpx.AsyncClient, path: str, pointer: str
) -> None:
    answer = await client.get(path)
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_a_workflow_that_is_not_there_has_no_ledger(client: httpx.AsyncClient) -> None:
    for path in ("/workflows/none/occurrences", "/workflows/none/occurrences/2026-01-01T00:00/why"):
        assert (await client.get(path)).status_code == HTTPStatus.NOT_FOUND
