"""Liveness, readiness and metrics of any service, over HTTP."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from shared.domain.errors import Unavailable

Check = Callable[[], Awaitable[None]]
_CHECK_TIMEOUT = timedelta(seconds=2)
_DOWN: Final[dict[int | str, dict[str, Any]]] = {
    503: {
        "description": "Something is missing; `down` names it and says why",
        "content": {"application/json": {"example": {"ok": False, "down": {"MongoDB": "..."}}}},
    }
}


class Health:
    """Knows whether the service has started, and asks its dependencies when it is asked."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self._waiting_for: str | None = "start"

    def depends_on(self, name: str, check: Check) -> None:
        """Make readiness depend on a check that raises Unavailable when all is not well."""
        self._checks[name] = check

    def started(self) -> None:
        """Say that everything the service needs was there once."""
        self._waiting_for = None

    def waiting_for(self, what: str) -> None:
        """Say what the service is waiting for before it can work."""
        self._waiting_for = what

    async def troubles(self) -> dict[str, str]:
        """Return what keeps the service from working, by dependency; empty when it is ready."""
        if self._waiting_for is not None:
            return {self._waiting_for: "not there yet"}
        results = await asyncio.gather(*(_ask(check) for check in self._checks.values()))
        return {name: why for name, why in zip(self._checks, results, strict=True) if why}


async def _ask(check: Check) -> str | None:
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT.total_seconds()):
            await check()
    except Unavailable as error:
        return error.reason
    except TimeoutError:
        return f"no answer within {_CHECK_TIMEOUT.total_seconds():.0f} s"
    return None


def health_router(health: Health, registry: CollectorRegistry) -> APIRouter:
    """Return `/health`, `/health/live`, `/health/ready` and `/metrics`."""
    router = APIRouter(tags=["health"])

    @router.get("/health/live", summary="The process runs and its event loop turns")
    async def live() -> dict[str, bool]:
        """Answer without asking anything else; a process that does not answer needs a restart."""
        return {"ok": True}

    @router.get("/health/ready", summary="Every dependency is there", responses=_DOWN)
    async def ready() -> JSONResponse:
        """Ask every dependency; while one is missing, send this service no requests."""
        troubles = await health.troubles()
        body = {"ok": not troubles, **({"down": troubles} if troubles else {})}
        return JSONResponse(body, status_code=503 if troubles else 200)

    @router.get("/health", summary="Short for /health/ready", responses=_DOWN)
    async def overall() -> JSONResponse:
        """Answer as /health/ready does."""
        return await ready()

    @router.get("/metrics", response_class=PlainTextResponse, summary="Prometheus metrics")
    async def metrics() -> Response:
        """Return the counters and gauges of this process in the text format of Prometheus."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router
