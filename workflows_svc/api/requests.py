"""Reading what a caller sent: body, headers, paging."""

import base64
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final, NoReturn

from fastapi import Depends, Header, Query, Request
from pydantic import JsonValue

from shared.contracts.strict_json import parse_json
from shared.domain.errors import FieldProblem, InvalidInput
from shared.domain.instants import format_instant, instant
from shared.domain.storable import problems_in
from workflows_svc.api.problems import RequestProblem

MAX_PAGE: Final = 200
_IDEMPOTENCY_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_VERSION: Final = re.compile(r'"?([0-9]{1,9})"?')
Cursor = tuple[datetime, str]


async def json_body(request: Request) -> JsonValue:
    """Return the request's JSON body, or None if it has none.

    Raises RequestProblem: 413 beyond the limit, 415 for another content type,
    400 for what is no JSON.
    """
    raw = await _limited_body(request, request.app.state.body_limit)
    if not raw:
        return None
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json" and not content_type.endswith("+json"):
        raise RequestProblem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "unsupported-media-type",
            f"The body came as '{content_type or 'nothing'}'. "
            "Send JSON with the header 'Content-Type: application/json'.",
        )
    return _parse(raw)


# A dependency that is no coroutine would run in a thread, which costs a request 0.5 ms.
Body = Annotated[JsonValue, Depends(json_body)]


async def _limited_body(request: Request, limit: int) -> bytes:
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit:
        _too_large(limit)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> NoReturn:
    raise RequestProblem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "body-too-large",
        f"The body is larger than {limit} bytes, the limit set by BODY_LIMIT.",
    )


def _parse(raw: bytes) -> JsonValue:
    try:
        return parse_json(raw)
    except RecursionError as error:
        raise _broken("it is nested too deeply") from error
    except ValueError as error:
        raise _broken(str(error)) from error


def _broken(why: str) -> RequestProblem:
    return RequestProblem(HTTPStatus.BAD_REQUEST, "broken-json", f"The body is no JSON: {why}.")


async def idempotency_key(
    value: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            description="Repeating a request with the same key has the effect of one.",
        ),
    ] = None,
) -> str | None:
    """Return the Idempotency-Key header. Raises RequestProblem (400) if it is malformed."""
    if value is not None and not _IDEMPOTENCY_KEY.fullmatch(value):
        raise RequestProblem(
            HTTPStatus.BAD_REQUEST,
            "bad-idempotency-key",
            "Idempotency-Key must be 1 to 255 visible ASCII characters.",
        )
    return value


IdempotencyKey = Annotated[str | None, Depends(idempotency_key)]


async def if_match(
    value: Annotated[
        str | None,
        Header(alias="If-Match", description="The version that the change is based on."),
    ] = None,
) -> int | None:
    """Return the version in If-Match, None for any. Raises RequestProblem (400)."""
    if value is None or value.strip() == "*":
        return None
    match = _VERSION.fullmatch(value.strip())
    if not match:
        raise RequestProblem(
            HTTPStatus.BAD_REQUEST,
            "bad-if-match",
            'If-Match must be a version number as the ETag gives it, such as "3".',
        )
    return int(match[1])


IfMatch = Annotated[int | None, Depends(if_match)]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="How many items to return at most.")]
CursorText = Annotated[
    str | None, Query(alias="cursor", description="`nextCursor` of the page before.")
]


def known_parameters(*names: str) -> Callable[[Request], Awaitable[None]]:
    """Return a dependency that refuses query parameters with other names."""

    async def check(request: Request) -> None:
        unknown = sorted(set(request.query_params) - set(names))
        if unknown:
            raise InvalidInput(
                [
                    FieldProblem(
                        f"query/{name}", f"is not known here; known are {', '.join(names)}"
                    )
                    for name in unknown
                ]
            )

    return check


def encode_cursor(at: datetime, last_id: str) -> str:
    """Return an opaque cursor behind an item of a list ordered by time."""
    return _encode({"at": format_instant(at), "id": last_id})


def decode_cursor(text: str | None) -> Cursor | None:
    """Read a cursor. Raises InvalidInput for anything else."""
    if text is None:
        return None
    parsed = _decode(text)
    try:
        last_id = parsed["id"]
        if not isinstance(last_id, str) or next(problems_in(last_id), None):
            raise _bad_cursor()
        return instant(datetime.fromisoformat(parsed["at"])), last_id
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise _bad_cursor() from error


def encode_name_cursor(name: str) -> str:
    """Return an opaque cursor behind an item of a list ordered by name."""
    return _encode({"name": name})


def decode_name_cursor(text: str | None) -> str | None:
    """Read a cursor of a list ordered by name. Raises InvalidInput for anything else."""
    if text is None:
        return None
    name = _decode(text).get("name")
    if not isinstance(name, str) or next(problems_in(name), None):
        raise _bad_cursor()
    return name


def _encode(value: Mapping[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _decode(text: str) -> dict[str, Any]:
    try:
        parsed = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError as error:
        raise _bad_cursor() from error
    if not isinstance(parsed, dict):
        raise _bad_cursor()
    return parsed


def _bad_cursor() -> InvalidInput:
    return InvalidInput([FieldProblem("query/cursor", "must be the nextCursor of an earlier page")])
