"""An API that remembers what it was asked and answers as it is told."""

from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.destination import Destination

ANSWER = {
    "workflowId": "hello",
    "version": 1,
    "enabled": True,
    "trigger": {"type": "manual", "status": "idle"},
    "actions": [],
    "left": 0,
    "owed": 0,
    "executionId": "x",
    "id": "x",
    "status": "queued",
    "items": [],
    "events": [],
    "why": "It is so.",
    "checked": 0,
    "inconsistent": [],
}


@dataclass
class RecordingApi(Destination):
    """Remembers every request and says yes, unless it is told what else to answer."""

    answers: list[web.Response] = field(default_factory=list)
    interrupted: int = 0
    """How many requests from now on end without an answer."""

    @property
    def keys(self) -> list[str]:
        """The Idempotency-Key of each request, in order."""
        return [call.headers["idempotency-key"] for call in self.calls]

    def _at_once(self, kind: str, argument: str, request: web.Request) -> web.Response:
        if self.interrupted:
            self.interrupted -= 1
            assert request.transport is not None
            request.transport.abort()
        return self.answers.pop(0) if self.answers else web.json_response(ANSWER)


def problem(
    status: int, title: str = "Conflict", detail: str = "It is so.", **members: Any
) -> web.Response:
    """Return a problem document as an answer."""
    document = {"title": title, "status": status, "detail": detail, **members}
    return web.json_response(document, status=status, content_type="application/problem+json")
