"""What the workflows service counts: every request, by route and status."""

import time
from typing import Final

from prometheus_client import CollectorRegistry, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_OTHER: Final = "other"
_FAILED: Final = 500


class RequestMetrics:
    """Middleware that times requests. Labels are few: a route stands for all its addresses."""

    def __init__(self, app: ASGIApp, registry: CollectorRegistry) -> None:
        self._app = app
        self._requests = Histogram(
            "http_request_seconds",
            "From the arrival of a request to the end of its answer.",
            ["method", "route", "status"],
            buckets=_SECONDS,
            registry=registry,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and note how long its answer took and what it was."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, started = _FAILED, time.perf_counter()

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else _OTHER
            route = getattr(scope.get("route"), "path", _OTHER)
            seconds = time.perf_counter() - started
            self._requests.labels(method, route, str(status)).observe(seconds)
