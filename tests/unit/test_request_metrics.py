"""The metrics of requests: by route and status, with labels that a client cannot multiply."""

import httpx
import pytest
from prometheus_client import CollectorRegistry

from shared.runtime.health import Health
from tests.support.builders import CATALOGUE
from workflows_svc.app import create_app


def counts(registry: CollectorRegistry) -> dict[tuple[str, str, str], float]:
    return {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"]): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == "http_request_seconds_count"
    }


@pytest.mark.parametrize(
    ("method", "paths", "labels"),
    [
        ("GET", ["/health/live", "/health/live"], ("GET", "/health/live", "200")),
        ("GET", ["/workflows/a", "/workflows/b"], ("GET", "/workflows/{workflow_id}", "503")),
        ("GET", ["/nowhere/1", "/nowhere/2"], ("GET", "other", "404")),
        ("BREW", ["/workflows/a", "/workflows/b"], ("other", "/workflows/{workflow_id}", "405")),
    ],
)
async def test_requests_are_counted_by_route_and_status(
    method: str, paths: list[str], labels: tuple[str, str, str]
) -> None:
    registry = CollectorRegistry()
    app = create_app(Health(), registry, CATALOGUE, body_limit=1000)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        for path in paths:
            await client.request(method, path)
    assert counts(registry) == {labels: len(paths)}
