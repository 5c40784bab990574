"""What the API answers: JSON objects, and problems that become errors."""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import httpx

from local.cli.errors import CommandError, Exit
from local.cli.output import local_time, more_retries

_CODES: Final = {
    HTTPStatus.NOT_FOUND: Exit.NOT_FOUND,
    HTTPStatus.CONFLICT: Exit.REFUSED,
    HTTPStatus.PRECONDITION_FAILED: Exit.REFUSED,
}
_HUMP: Final = re.compile(r"(?=[A-Z])")


class Answer(dict[str, Any]):
    """A JSON object that came from a URL; only something else than the API leaves out members."""

    def __init__(self, members: Mapping[str, Any], url: str) -> None:
        super().__init__(members)
        self._url = url

    def __missing__(self, name: str) -> Any:
        raise not_the_api(self._url, f"its answer has no '{name}'")


def read(response: httpx.Response, url: str) -> Answer:
    """Return what a response holds. Raises CommandError if it is none of success."""
    if not response.is_success:
        raise _refusal(response, url)
    if response.status_code == HTTPStatus.NO_CONTENT:
        return Answer({}, url)
    found = _json(response, url)
    if not isinstance(found, Answer):
        raise not_the_api(url, "its answer is no JSON object")
    return found


def not_the_api(url: str, why: str) -> CommandError:
    """Return the error for an answer that the workflows service would not give."""
    return CommandError(
        f"What answers at {url} is not the workflows service: {why}. "
        "WORKFLOWS_API_URL says where it is.",
        Exit.UNAVAILABLE,
    )


def _refusal(response: httpx.Response, url: str) -> CommandError:
    if response.is_redirect:
        return not_the_api(url, f"it redirects to {response.headers.get('Location')}")
    code = _code(response.status_code)
    problem = _json(response, url)
    if not isinstance(problem, Answer) or "detail" not in problem:
        return CommandError(f"The API answered {response.status_code}.", code)
    fields = _fields(problem.get("errors"))
    headline = problem.get("title", "Invalid input") if fields else _sentence(problem)
    return CommandError(headline, code, fields)


def _code(status: int) -> Exit:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Exit.UNAVAILABLE
    return next((code for known, code in _CODES.items() if known == status), Exit.INVALID)


def _json(response: httpx.Response, url: str) -> Any:
    """Return the JSON in a response, None if it holds none."""
    try:
        return json.loads(response.content, object_hook=lambda members: Answer(members, url))
    except (ValueError, RecursionError):
        return None


def _fields(errors: Any) -> tuple[str, ...]:
    items = errors if isinstance(errors, list) else []
    return tuple(
        f"{_argument(item['pointer'])}: {item['detail']}"
        for item in items
        if isinstance(item, dict) and item.keys() >= {"pointer", "detail"}
    )


def _argument(pointer: str) -> str:
    """Return what this command line calls a part of a request; a place in a document stays."""
    match str(pointer).split("/"):
        case ["path", name]:
            return name.upper()
        case ["query", name, *_]:
            return f"--{_HUMP.sub('-', name).lower()}"
        case _:
            return pointer or "(document)"


def _sentence(problem: Answer) -> str:
    """Return the API's sentence; in terms of this command line where it speaks of requests."""
    detail = str(problem["detail"])
    match problem:
        case {
            "type": "urn:workflows:problem:workflow-busy",
            "triggerStatus": "pending",
            "nextAttemptAt": str(at),
            "retriesLeft": int(left),
        }:
            return f"{detail} Its next attempt is at {local_time(at)} ({more_retries(left)})."
        case {
            "type": "urn:workflows:problem:workflow-busy",
            "executionId": str(name),
            "nextAttemptAt": str(at),
        }:
            # It did not fail: a timer of it runs, or it waits for a person.
            why = f"'workflows why {name}' says what for"
            return f"{detail} It waits until {local_time(at)}: {why}."
        case {"type": "urn:workflows:problem:workflow-disabled", "workflowId": str(name)}:
            return f"Workflow '{name}' is disabled. 'workflows enable {name}' enables it."
        case _:
            return detail
