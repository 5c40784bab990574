"""What is wrong with a query parameter is said as of a field: what was given, and what is right."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from shared.runtime.health import Health
from tests.support.builders import CATALOGUE
from workflows_svc.app import create_app

NONSENSE: Final = "~odd~"


def _app() -> FastAPI:
    app = create_app(Health(), CollectorRegistry(), CATALOGUE, 10_000)
    # No use case is reached: what is wrong with a request is found before.
    app.state.services = object()
    return app


def _strict_parameters() -> Iterator[tuple[str, str, str]]:
    """Yield method, path and name of each query parameter that does not take any text."""
    document = _app().openapi()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "query" and not _takes_text(parameter["schema"]):
                    yield method.upper(), path, parameter["name"]


def _takes_text(schema: dict[str, Any]) -> bool:
    kinds = schema.get("anyOf", [schema])
    return {"type": "string"} in kinds and "format" not in schema


STRICT: Final = list(_strict_parameters())


@pytest.fixture
def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(_app()), base_url="http://api")


def test_there_are_such_parameters() -> None:
    names = {name for _, _, name in STRICT}
    assert names >= {"limit", "count", "status", "outcome", "from", "to", "at", "cancel"}


@pytest.mark.parametrize(("method", "path", "name"), STRICT)
async def test_nonsense_is_refused_in_words_of_our_own(
    client: httpx.AsyncClient, method: str, path: str, name: str
) -> None:
    answer = await client.request(method, path, params={name: NONSENSE})
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    (error,) = answer.json()["errors"]
    assert error["pointer"].removesuffix("/0") == f"query/{name}"
    assert error["detail"].startswith(f"is '{NONSENSE}'; ")
    assert error["detail"].split("; ")[1].startswith(("must be ", "expected "))


@pytest.mark.parametrize(
    ("query", "pointer", "said"),
    [
        ("preview?count=5000", "query/count", "is '5000'; must be at most 1000"),
        ("preview?count=0", "query/count", "is '0'; must be at least 1"),
        ("preview?count=1.5", "query/count", "is '1.5'; must be a whole number"),
        (
            "occurrences?outcome=fired&outcome=lost",
            "query/outcome/1",
            "is 'lost'; must be one of 'fired', 'skipped' or 'buffered'",
        ),
        ("occurrences?limit=" + "9" * 5_000, "query/limit", f"is '{'9' * 80}…'; must be "),
    ],
)
async def test_what_was_given_and_what_would_be_right_is_said(
    client: httpx.AsyncClient, query: str, pointer: str, said: str
) -> None:
    answer = await client.get(f"/workflows/hello/{query}")
    (error,) = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert error["detail"].startswith(said)


@pytest.mark.parametrize("given", ["2026-01-31", "2026-01-31T02:00:00", "soon"])
async def test_an_instant_in_a_query_has_its_offset(client: httpx.AsyncClient, given: str) -> None:
    answer = await client.get("/executions", params={"from": given})
    (error,) = answer.json()["errors"]
    assert error["detail"] == (
        f"is '{given}'; must be a date and a time with its offset from UTC, such as "
        "'2026-01-31T02:00:00Z' or '2026-01-31T03:00:00+01:00'"
    )
