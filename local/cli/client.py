"""The API, as the command line sees it: JSON in and out, problems as errors."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import httpx

from local.cli.answers import Answer, not_the_api, read
from local.cli.errors import CommandError, Exit

_PATIENCE_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 0.25


class Api:
    """A connection to the workflows service.

    Every request carries an Idempotency-Key, so one that got no answer is
    repeated, for a few seconds, without the danger of doing it twice.
    """

    def __init__(self, url: str, transport: httpx.BaseTransport | None = None) -> None:
        self._url = url
        self._client = httpx.Client(base_url=url, timeout=10, transport=transport, trust_env=False)

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Answer:
        """Read a resource."""
        return self._answer(self._send("GET", path, params=params))

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> Answer:
        """Send a command."""
        return self._answer(self._send("POST", path, body=body, key=key))

    def put(self, path: str, body: Any) -> Answer:
        """Replace a resource."""
        return self._answer(self._send("PUT", path, body=body))

    def patch(self, path: str, body: Any) -> Answer:
        """Change a part of a resource."""
        return self._answer(self._send("PATCH", path, body=body))

    def delete(self, path: str, params: Mapping[str, Any] | None = None) -> None:
        """Remove a resource."""
        self._answer(self._send("DELETE", path, params=params))

    def create(self, path: str, body: Any) -> tuple[Answer, bool]:
        """Create a resource; returns it, and whether it is new."""
        response = self._send("POST", path, body=body)
        return self._answer(response), response.status_code == HTTPStatus.CREATED

    def pages(self, path: str, params: Mapping[str, Any], limit: int) -> Iterator[Answer]:
        """Yield up to `limit` items of a list, fetching page after page."""
        cursor: str | None = None
        while limit > 0:
            wanted = {**params, "limit": min(limit, 200), "cursor": cursor}
            page = self.get(path, {k: v for k, v in wanted.items() if v is not None})
            yield from page["items"]
            limit -= len(page["items"])
            cursor = page.get("nextCursor")
            if cursor is None:
                return

    def first(self, path: str, params: Mapping[str, Any], limit: int) -> tuple[list[Answer], bool]:
        """Return up to `limit` items of a list, and whether there are more."""
        found = list(self.pages(path, params, limit + 1))
        return found[:limit], len(found) > limit

    def _send(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> httpx.Response:
        headers = {"Idempotency-Key": str(uuid.uuid4()) if key is None else key}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            # In ASCII even a lone surrogate gets as far as the API, which names its place.
            content = json.dumps(body).encode()
        request = self._client.build_request(
            method, path, content=content, params=params, headers=headers
        )
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                return self._client.send(request)
            except httpx.ConnectError as error:
                raise self._unreachable(error) from error
            except httpx.DecodingError as error:
                raise not_the_api(self._url, "its answer cannot be unpacked") from error
            except httpx.TransportError as error:
                if time.monotonic() > deadline:
                    raise self._unreachable(error) from error
                time.sleep(_PAUSE_SECONDS)

    def _unreachable(self, error: Exception) -> CommandError:
        cure = "Is it running ('make run')? WORKFLOWS_API_URL says where it is."
        return CommandError(
            f"Cannot reach the workflows service at {self._url}: {error}. {cure}", Exit.UNAVAILABLE
        )

    def _answer(self, response: httpx.Response) -> Answer:
        return read(response, self._url)


def resource(collection: str, identifier: str, argument: str) -> str:
    """Return the path of one thing. Raises CommandError if the argument that names it is empty."""
    if not identifier:
        raise CommandError(f"{argument} must not be empty.", Exit.USAGE)
    name = quote(identifier, safe=":")
    # A name of dots would lead to another path.
    return f"/{collection}/{name if name.strip('.') else name.replace('.', '%2E')}"
