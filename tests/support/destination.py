"""A local HTTP server that answers as it is told and remembers who called."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Call:
    """One request that arrived."""

    at: float
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Destination:
    """Answers by path: `/ok`, `/status/N`, `/flaky/N` (N times 500 per name), `/hold`, ..."""

    calls: list[Call] = field(default_factory=list)
    held: asyncio.Event = field(default_factory=asyncio.Event)
    aborted: list[str] = field(default_factory=list)
    _failures: Counter[str] = field(default_factory=Counter)
    _runner: web.AppRunner | None = None
    url: str = ""

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}"

    async def stop(self) -> None:
        self.held.set()
        if self._runner:
            await self._runner.cleanup()

    def to(self, path: str, **more: Any) -> dict[str, Any]:
        """Return an action that calls a path here."""
        return {"type": "http-request", "url": f"{self.url}{path}", **more}

    def called(self, path: str) -> list[Call]:
        """Return the calls of a path."""
        return [call for call in self.calls if call.path == path]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        call = Call(
            time.time(),
            request.method,
            request.path,
            dict(request.query),
            {name.lower(): value for name, value in request.headers.items()},
            await request.read(),
        )
        self.calls.append(call)
        kind, argument, *_ = [*request.path.strip("/").split("/"), ""]
        try:
            return await self._answer(kind, argument, request)
        except asyncio.CancelledError:
            self.aborted.append(request.path)
            raise

    async def _answer(self, kind: str, argument: str, request: web.Request) -> web.StreamResponse:
        match kind:
            case "hold":
                await self.held.wait()
            case "slow":
                await asyncio.sleep(float(argument))
            case "redirect":
                raise web.HTTPFound(request.query["to"])
            case "loop":
                raise web.HTTPFound(request.path)
        return self._at_once(kind, argument, request)

    def _at_once(self, kind: str, argument: str, request: web.Request) -> web.Response:
        match kind:
            case "status":
                after = request.query.get("after")
                headers = {"Retry-After": after} if after else {}
                return web.Response(status=int(argument), text="told to", headers=headers)
            case "flaky":
                self._failures[request.path] += 1
                failed = self._failures[request.path] <= int(argument)
                return web.Response(status=500 if failed else 200, text="flaky")
            case "big":
                return web.Response(body=b"x" * int(argument))
            case "echo":
                text = f"{request.headers.get('authorization')} {request.path_qs}"
                return web.Response(text=text, headers={"X-Request-Id": text[:60]})
            case _:
                return web.json_response({"ok": True})
