"""Errors as `application/problem+json` (RFC 9457): the one place that gives them a status."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException

from shared.domain.errors import (
    Conflict,
    ExecutionFinished,
    FieldProblem,
    IdempotencyKeyReused,
    IllegalTransition,
    InvalidInput,
    NotFound,
    PlatformError,
    Unavailable,
    VersionMismatch,
    WorkflowBusy,
    WorkflowDisabled,
    WorkflowExists,
)
from shared.domain.fold import BrokenHistory
from shared.domain.instants import format_instant
from shared.domain.problems import sentence

MEDIA_TYPE: Final = "application/problem+json"
RETRY_AFTER_SECONDS: Final = 2
_SHOWN: Final = 80
log = structlog.get_logger(__name__)


class RequestProblem(PlatformError):
    """The HTTP request itself is wrong, before its content means anything."""

    def __init__(self, status: HTTPStatus, name: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.name = name


class ErrorItem(BaseModel):
    """One wrong field: where it is (JSON pointer) and what would be right."""

    pointer: str
    detail: str


class Problem(BaseModel):
    """A problem document; some problems carry further members."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[ErrorItem] | None = None


_KINDS: Final[tuple[tuple[type[PlatformError], HTTPStatus, str], ...]] = (
    (InvalidInput, HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-input"),
    (NotFound, HTTPStatus.NOT_FOUND, "not-found"),
    (WorkflowExists, HTTPStatus.CONFLICT, "workflow-exists"),
    (WorkflowBusy, HTTPStatus.CONFLICT, "workflow-busy"),
    (WorkflowDisabled, HTTPStatus.CONFLICT, "workflow-disabled"),
    (ExecutionFinished, HTTPStatus.CONFLICT, "execution-finished"),
    (Conflict, HTTPStatus.CONFLICT, "conflict"),
    (IllegalTransition, HTTPStatus.CONFLICT, "conflict"),
    (BrokenHistory, HTTPStatus.INTERNAL_SERVER_ERROR, "broken-history"),
    (VersionMismatch, HTTPStatus.PRECONDITION_FAILED, "version-mismatch"),
    (IdempotencyKeyReused, HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency-key-reused"),
    (Unavailable, HTTPStatus.SERVICE_UNAVAILABLE, "unavailable"),
)


def install(app: FastAPI) -> None:
    """Make every error of the app a problem document."""
    app.add_exception_handler(PlatformError, _platform_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)


def responses(*statuses: HTTPStatus) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries for the problems a route may answer with."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {s.value: {"description": s.phrase, "content": content} for s in statuses}


UNREADABLE: Final = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
)
"""What a route with a body may answer to one that it cannot read."""

STORED: Final = responses(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE)
"""What any route may answer that takes parameters and needs the database."""


async def _platform_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, PlatformError)
    if isinstance(error, RequestProblem):
        return _problem(error.status, error.name, str(error))
    status, name = _kind(error)
    headers = {}
    if isinstance(error, Unavailable):
        log.warning("api.unavailable", dependency=error.dependency, why=error.reason)
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return _problem(status, name, str(error), members=_members(error), headers=headers)


async def _validation_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    wrong = InvalidInput([_parameter(detail) for detail in error.errors()])
    members = _members(wrong)
    return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-input", str(wrong), members=members)


def _parameter(detail: ErrorDetails) -> FieldProblem:
    """Say what is wrong with a parameter, and what was given for it."""
    given, said = detail["input"], sentence(detail)
    if isinstance(given, str):
        shown = given if len(given) <= _SHOWN else f"{given[:_SHOWN]}…"
        said = f"is '{shown}'; {said}"
    return FieldProblem("/".join(map(str, detail["loc"])), said)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    detail = {
        HTTPStatus.NOT_FOUND: f"There is nothing at {request.url.path}; /docs shows what there is.",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{request.method} is not possible at {request.url.path}.",
    }.get(status, str(error.detail))
    name = status.phrase.lower().replace(" ", "-")
    return _problem(status, name, detail, headers=error.headers)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("api.error", path=request.url.path, method=request.method, exc_info=error)
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return _problem(status, "internal-error", "Something went wrong here; it has been logged.")


def _kind(error: PlatformError) -> tuple[HTTPStatus, str]:
    for kind, status, name in _KINDS:
        if isinstance(error, kind):
            return status, name
    return HTTPStatus.INTERNAL_SERVER_ERROR, "internal-error"


def _members(error: PlatformError) -> dict[str, Any]:
    """Return what a program needs of an error beyond its sentence."""
    members: dict[str, Any] = {}
    match error:
        case InvalidInput():
            members["errors"] = [{"pointer": p.pointer, "detail": p.detail} for p in error.problems]
        case WorkflowBusy():
            at = error.next_attempt_at
            members["triggerStatus"] = error.status
            members["executionId"] = error.execution_id
            members["nextAttemptAt"] = format_instant(at) if at else None
            members["retriesLeft"] = error.retries_left
        case WorkflowDisabled():
            members["workflowId"] = error.workflow_id
        case WorkflowExists():
            members["version"] = error.version
        case VersionMismatch():
            members["version"] = error.current
        case IdempotencyKeyReused() | ExecutionFinished():
            members["executionId"] = error.execution_id
        case Unavailable():
            members["dependency"] = error.dependency
    return members


def _problem(
    status: HTTPStatus,
    name: str,
    detail: str,
    *,
    members: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    document = {
        "type": f"urn:workflows:problem:{name}",
        "title": name.replace("-", " ").capitalize(),
        "status": status.value,
        "detail": detail,
        **(members or {}),
    }
    return JSONResponse(
        document, status_code=status.value, media_type=MEDIA_TYPE, headers=dict(headers or {})
    )
