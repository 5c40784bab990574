"""The action `http-request`: one HTTP call, bounded in time, size and destination."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, Self
from urllib.parse import quote

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from pydantic import JsonValue

from runner_svc.actions.destinations import ForbiddenDestination, GuardedResolver, check_literal
from runner_svc.actions.retry_after import parse_retry_after
from shared.domain.actions import HttpRequestAction
from shared.domain.secrets import (
    SECRET_REFERENCE,
    UnknownSecret,
    redact,
    redact_text,
    resolve,
    spellings,
)
from shared.ports.actions import ActionContext, ActionError
from shared.ports.clock import Clock

_RETRYABLE: Final = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)
_KEPT_HEADERS: Final = (
    "content-type",
    "content-length",
    "date",
    "etag",
    "last-modified",
    "location",
    "retry-after",
    "x-request-id",
)
_LONGEST_ERROR: Final = 500


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What one runner allows its requests."""

    allow_private: bool
    response_limit: int
    body_kept: int
    concurrency: int


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    headers: httpx.Headers
    body: bytes
    truncated: bool


class HttpRequester:
    """Runs `http-request` actions over one pool of connections; use it as a context manager.

    Nothing is shared between requests but connections: no cookies, no proxies
    from the environment.
    """

    def __init__(self, limits: HttpLimits, secrets: Mapping[str, str], clock: Clock) -> None:
        self._limits = limits
        self._secrets = secrets
        self._clock = clock
        self._stack = AsyncExitStack()
        self._client: httpx.AsyncClient | None = None
        self._places = asyncio.Semaphore(limits.concurrency)

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=self._limits.concurrency,
            resolver=None if self._limits.allow_private else GuardedResolver(),
        )
        session = await self._stack.enter_async_context(
            aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
            )
        )
        self._client = httpx.AsyncClient(
            transport=AiohttpTransport(client=session),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            trust_env=False,
            headers={"User-Agent": "workflow-automation"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def run(self, params: HttpRequestAction, context: ActionContext) -> JsonValue:
        """Send the request and return status, selected headers and the head of the body.

        Raises ActionError: retryable for network errors, timeouts, 408, 425, 429
        and 5xx, permanent for everything else from 400 up.
        """
        used: set[str] = set()
        try:
            request = self._request(params, context, used)
            async with self._places:
                started = time.perf_counter()
                async with asyncio.timeout(params.timeouts.total.total_seconds()):
                    reply = await self._exchange(request, params)
        except ActionError as error:
            raise _redacted(error, used) from None
        except TimeoutError:
            limit = params.timeouts.total.total_seconds()
            raise ActionError(f"no complete answer within {limit:g} s") from None
        took = round((time.perf_counter() - started) * 1000)
        hidden = frozenset().union(*map(spellings, used))
        output = {**self._output(reply, hidden), "durationMs": took}
        if reply.status >= HTTPStatus.BAD_REQUEST:
            raise self._refusal(reply, hidden)
        return output

    def _request(
        self, params: HttpRequestAction, context: ActionContext, used: set[str]
    ) -> httpx.Request:
        if self._client is None:
            raise RuntimeError("HttpRequester must be entered before use")
        try:
            headers = {k: str(resolve(v, self._secrets, used)) for k, v in params.headers.items()}
            body = resolve(params.body, self._secrets, used)
            url = _resolve_url(params.url, self._secrets, used)
        except UnknownSecret as error:
            raise ActionError(str(error), retryable=False) from None
        if any("\r" in value or "\n" in value for value in headers.values()):
            raise ActionError("a secret used in a header has a line break", retryable=False)
        if "idempotency-key" not in {name.lower() for name in headers}:
            headers["Idempotency-Key"] = context.idempotency_key
        timeouts = params.timeouts
        return self._client.build_request(
            params.method,
            _with_query(url, params),
            headers=headers,
            content=body.encode() if isinstance(body, str) else None,
            json=body if body is not None and not isinstance(body, str) else None,
            timeout=httpx.Timeout(
                timeouts.read.total_seconds(), connect=timeouts.connect.total_seconds()
            ),
        )

    async def _exchange(self, request: httpx.Request, params: HttpRequestAction) -> _Reply:
        try:
            return await self._follow(request, params.follow_redirects)
        except ForbiddenDestination as error:
            raise ActionError(str(error), retryable=False) from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise ActionError(f"not a usable URL: {error}", retryable=False) from None
        except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
            said = str(error)[:_LONGEST_ERROR]
            raise ActionError(
                f"{type(error).__name__}: {said}" if said else type(error).__name__
            ) from None

    async def _follow(self, request: httpx.Request, redirects: int) -> _Reply:
        assert self._client is not None
        allowed = redirects
        while True:
            self._check(request.url)
            response = await self._client.send(request, stream=True, follow_redirects=False)
            try:
                following = response.next_request
                if following is None or not redirects:
                    return await self._read(response)
            finally:
                await response.aclose()
            if not allowed:
                raise ActionError(f"more than {redirects} redirects", retryable=False)
            allowed -= 1
            request = following

    def _check(self, url: httpx.URL) -> None:
        if url.scheme not in {"http", "https"} or not url.host:
            raise ActionError("the URL must be http or https and name a host", retryable=False)
        if not self._limits.allow_private:
            check_literal(url.host)

    async def _read(self, response: httpx.Response) -> _Reply:
        limit = self._limits.response_limit
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) >= limit:
                break
        return _Reply(
            response.status_code, response.headers, bytes(body[:limit]), len(body) > limit
        )

    def _output(self, reply: _Reply, hidden: frozenset[str]) -> dict[str, JsonValue]:
        kept = self._limits.body_kept
        headers: dict[str, JsonValue] = {
            name: redact_text(reply.headers[name], hidden)
            for name in _KEPT_HEADERS
            if name in reply.headers
        }
        output: dict[str, JsonValue] = {"status": reply.status, "headers": headers}
        output["body"] = self._head(reply, hidden)
        output["bodyTruncated"] = reply.truncated or len(reply.body) > kept
        return output

    def _head(self, reply: _Reply, hidden: frozenset[str]) -> str:
        """Return the first bytes as text. Redaction comes before the cut, lest a part remain."""
        kept = self._limits.body_kept
        longest = max(map(len, hidden), default=0)
        text = reply.body[: kept + 4 * longest].decode(errors="replace")
        return str(redact(text, hidden))[:kept]

    def _refusal(self, reply: _Reply, hidden: frozenset[str]) -> ActionError:
        head = " ".join(self._head(reply, hidden).split())[:200]
        said = f"HTTP {reply.status}" + (f": {head}" if head else "")
        retryable = reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR or reply.status in _RETRYABLE
        wait: timedelta | None = None
        if retryable:
            wait = parse_retry_after(reply.headers.get("retry-after"), self._clock.now())
        return ActionError(said, retryable=retryable, retry_after=wait)


def _resolve_url(url: str, secrets: Mapping[str, str], used: set[str]) -> str:
    """Put secrets into a URL: one at the start is (the head of) a URL, any other is encoded."""
    first = SECRET_REFERENCE.match(url)
    head = str(resolve(first.group(), secrets, used)) if first else ""
    tail = url[first.end() :] if first else url
    encoded = {name: quote(value, safe="") for name, value in secrets.items()}
    for name in SECRET_REFERENCE.findall(tail):
        resolve(f"${{secret:{name}}}", secrets, used)
    return head + str(resolve(tail, encoded, used))


def _with_query(url: str, params: HttpRequestAction) -> httpx.URL:
    """Add the query parameters to those the URL has already."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ActionError(f"not a usable URL: {error}", retryable=False) from None
    for name, value in params.query.items():
        for item in value if isinstance(value, list) else [value]:
            parsed = parsed.copy_add_param(name, item)
    return parsed


def _redacted(error: ActionError, used: set[str]) -> ActionError:
    hidden = frozenset().union(*map(spellings, used))
    return ActionError(
        redact_text(str(error), hidden), retryable=error.retryable, retry_after=error.retry_after
    )
