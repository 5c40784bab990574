"""The action `http-request`: one HTTP call, bounded in time, size and destination."""

import asyncio
import time
from base64 import b64encode
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final, Self
from urllib.parse import quote, unquote_to_bytes, urlsplit

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from pydantic import JsonValue

from runner_svc.actions.destinations import ForbiddenDestination, GuardedResolver, check_literal
from runner_svc.actions.network_errors import category_of, describe
from runner_svc.actions.retry_after import parse_retry_after
from runner_svc.actions.unpacking import unpacking
from shared.domain.actions import HttpRequestAction
from shared.domain.secrets import (
    SECRET_REFERENCE,
    Redactor,
    UnknownSecret,
    is_sensitive_header,
    resolve,
)
from shared.ports.actions import ActionContext, ActionError, PermanentError
from shared.ports.clock import Clock

_RECOVERABLE: Final = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)
_SHORTEST_TELLING: Final = 4
"""Shorter parts of a secret URL, such as `/v1`, tell nothing and would redact too much."""

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
            headers={"User-Agent": "workflow-automation", "Accept-Encoding": "gzip, deflate"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def run(self, params: HttpRequestAction, context: ActionContext) -> JsonValue:
        """Send the request and return status, selected headers and the head of the body.

        Raises ActionError: recoverable for network errors, timeouts, 408, 425, 429
        and 5xx, permanent for everything else from 400 up.
        """
        used: set[str] = set()
        try:
            request = self._request(params, context, used)
        except ActionError as error:
            raise _redacted(error, Redactor(used)) from None
        redactor = Redactor(used)
        try:
            async with self._places:
                started = time.perf_counter()
                async with asyncio.timeout(params.timeouts.total.total_seconds()):
                    reply = await self._exchange(request, params, redactor)
        except ActionError as error:
            raise _redacted(error, redactor) from None
        except TimeoutError:
            limit = params.timeouts.total.total_seconds()
            raise ActionError(f"no complete answer within {limit:g} s") from None
        took = round((time.perf_counter() - started) * 1000)
        if reply.status >= HTTPStatus.BAD_REQUEST:
            raise self._refusal(reply, redactor)
        return {**self._output(reply, redactor), "durationMs": took}

    def _request(
        self, params: HttpRequestAction, context: ActionContext, used: set[str]
    ) -> httpx.Request:
        if self._client is None:
            raise RuntimeError("HttpRequester must be entered before use")
        try:
            headers = {
                name.encode(): str(resolve(value, self._secrets, used)).encode("latin-1")
                for name, value in params.headers.items()
            }
            body = resolve(params.body, self._secrets, used)
            url = _resolve_url(params.url, self._secrets, used)
        except UnknownSecret as error:
            raise PermanentError(str(error)) from None
        except UnicodeEncodeError:
            said = "a header has characters beyond Latin-1, which HTTP cannot carry"
            raise PermanentError(said) from None
        if any(b"\r" in value or b"\n" in value for value in headers.values()):
            raise PermanentError("a secret used in a header has a line break")
        given = {name.lower() for name in params.headers}
        if "idempotency-key" not in given:
            headers[b"Idempotency-Key"] = context.idempotency_key.encode("latin-1")
        if isinstance(body, str) and "content-type" not in given:
            headers[b"Content-Type"] = b"text/plain; charset=utf-8"
        target = _with_query(url, params)
        if target.userinfo:
            if "authorization" not in given:
                credentials = b64encode(unquote_to_bytes(target.userinfo))
                headers[b"Authorization"] = b"Basic " + credentials
            target = target.copy_with(userinfo=b"")
        timeouts = params.timeouts
        return self._client.build_request(
            params.method,
            target,
            headers=headers,
            content=body.encode() if isinstance(body, str) else None,
            json=body if body is not None and not isinstance(body, str) else None,
            timeout=httpx.Timeout(
                timeouts.read.total_seconds(), connect=timeouts.connect.total_seconds()
            ),
        )

    async def _exchange(
        self, request: httpx.Request, params: HttpRequestAction, redactor: Redactor
    ) -> _Reply:
        try:
            return await self._follow(request, params.follow_redirects, redactor)
        except ForbiddenDestination as error:
            raise PermanentError(str(error)) from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise PermanentError(f"not a usable URL: {error}") from None
        except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise ActionError(describe(error), category=category_of(error)) from None
        except ValueError as error:
            raise PermanentError(f"the request cannot be sent: {error}") from None

    async def _follow(self, request: httpx.Request, redirects: int, redactor: Redactor) -> _Reply:
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
                raise PermanentError(f"more than {redirects} redirects")
            allowed -= 1
            # Unread, it would be sent on as a stream, with a body where there is none.
            await following.aread()
            if _origin(following.url) != _origin(request.url):
                _forget_credentials(following, redactor)
            request = following

    def _check(self, url: httpx.URL) -> None:
        if url.scheme not in {"http", "https"} or not url.host:
            raise PermanentError("the URL must be http or https and name a host")
        if not self._limits.allow_private:
            check_literal(url.host)

    async def _read(self, response: httpx.Response) -> _Reply:
        limit = self._limits.response_limit
        body = bytearray()
        unpack = unpacking(response.headers.get("content-encoding"))
        async for chunk in response.aiter_raw():
            # One byte more than is read tells that there is more.
            body += unpack(chunk, limit + 1 - len(body))
            if len(body) > limit:
                break
        return _Reply(
            response.status_code, response.headers, bytes(body[:limit]), len(body) > limit
        )

    def _output(self, reply: _Reply, redactor: Redactor) -> dict[str, JsonValue]:
        kept = self._limits.body_kept
        headers: dict[str, JsonValue] = {
            name: redactor.text(reply.headers[name])
            for name in _KEPT_HEADERS
            if name in reply.headers
        }
        output: dict[str, JsonValue] = {"status": reply.status, "headers": headers}
        output["body"] = self._head(reply, redactor)
        output["bodyTruncated"] = reply.truncated or len(reply.body) > kept
        return output

    def _head(self, reply: _Reply, redactor: Redactor) -> str:
        """Return the first bytes as text.

        Redaction comes before the cut. Where the body itself was cut, its end may be the
        beginning of a secret, so as much as one may take (12 bytes a character) goes.
        """
        kept, most = self._limits.body_kept, 12 * redactor.longest
        slice_ = reply.body[: kept + most]
        text = redactor.text(slice_.decode(errors="replace"))
        if most and (reply.truncated or len(slice_) < len(reply.body)):
            text = text[: max(len(text) - most, 0)]
        return text[:kept]

    def _refusal(self, reply: _Reply, redactor: Redactor) -> ActionError:
        head = " ".join(self._head(reply, redactor).split())[:200]
        said = f"HTTP {reply.status}" + (f": {head}" if head else "")
        retryable = reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR or reply.status in _RECOVERABLE
        if not retryable:
            return PermanentError(said)
        wait = parse_retry_after(reply.headers.get("retry-after"), self._clock.now())
        return ActionError(said, retry_after=wait)


def _resolve_url(url: str, secrets: Mapping[str, str], used: set[str]) -> str:
    """Put secrets into a URL: one at the start is (the head of) a URL, any other is encoded."""
    first = SECRET_REFERENCE.match(url)
    head = str(resolve(first.group(), secrets, used)) if first else ""
    used.update(_telling_parts(head))
    tail = url[first.end() :] if first else url
    encoded = {name: quote(value, safe="") for name, value in secrets.items()}
    for name in SECRET_REFERENCE.findall(tail):
        resolve(f"${{secret:{name}}}", secrets, used)
    return head + str(resolve(tail, encoded, used))


def _telling_parts(url: str) -> set[str]:
    """Return what a server may repeat of a URL that is a secret: its path, query and user."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return set()
    found = (parts.path, parts.path.strip("/"), parts.query, parts.username, parts.password)
    return {part for part in found if part and len(part) >= _SHORTEST_TELLING}


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _forget_credentials(request: httpx.Request, redactor: Redactor) -> None:
    """Take out what only the first destination of a redirected request was meant to see."""
    for name, value in list(request.headers.items()):
        if is_sensitive_header(name) or redactor.text(value) != value:
            del request.headers[name]


def _with_query(url: str, params: HttpRequestAction) -> httpx.URL:
    """Add the query parameters to those the URL has already."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise PermanentError(f"not a usable URL: {error}") from None
    for name, value in params.query.items():
        for item in value if isinstance(value, list) else [value]:
            parsed = parsed.copy_add_param(name, item)
    return parsed


def _redacted(error: ActionError, redactor: Redactor) -> ActionError:
    message = redactor.text(str(error))
    return ActionError(message, category=error.category, retry_after=error.retry_after)
