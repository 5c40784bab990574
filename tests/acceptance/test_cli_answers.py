"""What the command line makes of the API's answers, also of those that it cannot understand."""

from typing import Any

import pytest
from aiohttp import web

from local.cli.errors import Exit
from local.cli.output import local_time
from tests.support.command_line import CommandLine
from tests.support.recording_api import RecordingApi, problem

BUSY = {"executionId": "default:hello:7", "workflowId": "hello"}


@pytest.fixture
def workflows(api: RecordingApi) -> CommandLine:
    return CommandLine(api.url)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, Exit.NOT_FOUND),
        (409, Exit.REFUSED),
        (412, Exit.REFUSED),
        (422, Exit.INVALID),
        (503, Exit.UNAVAILABLE),
    ],
)
async def test_each_kind_of_refusal_has_its_exit_code(
    api: RecordingApi, workflows: CommandLine, status: int, code: Exit
) -> None:
    api.answers.append(problem(status, detail="This is why."))
    done = await workflows("trigger", "hello", code=code)
    assert (done.out, done.err) == ("", "error: This is why.\n")


@pytest.mark.parametrize("body", ["<html>Bad Gateway</html>", "[]", "{}", ""])
async def test_a_refusal_that_is_no_problem_document_is_reported_by_its_status(
    api: RecordingApi, workflows: CommandLine, body: str
) -> None:
    api.answers.append(web.Response(status=404, text=body))
    done = await workflows("get", "hello", code=Exit.NOT_FOUND)
    assert done.err == "error: The API answered 404.\n"


@pytest.mark.parametrize("status", [500, 502, 599])
async def test_an_error_of_the_server_is_not_blamed_on_the_input(
    api: RecordingApi, workflows: CommandLine, status: int
) -> None:
    api.answers += [problem(status, detail="It is our fault."), web.Response(status=status)]
    done = await workflows("trigger", "hello", code=Exit.UNAVAILABLE)
    assert (done.out, done.err) == ("", "error: It is our fault.\n")
    done = await workflows("trigger", "hello", code=Exit.UNAVAILABLE)
    assert done.err.startswith(f"error: The API answered {status}.")


GET = ("get", "hello")


@pytest.mark.parametrize(
    ("words", "body"),
    [
        *((GET, body) for body in ("", "[]", '"text"', "null", "{}", '{"a": ', b"\xff")),
        *((words, "<html>Welcome!</html>") for words in (GET, ("list",), ("trigger", "hello"))),
        (("list",), "{}"),
    ],
)
async def test_an_answer_of_something_else_is_no_success(
    api: RecordingApi, workflows: CommandLine, words: tuple[str, ...], body: str | bytes
) -> None:
    raw = body.encode() if isinstance(body, str) else body
    api.answers.append(web.Response(body=raw, content_type="text/html"))
    done = await workflows(*words, code=Exit.UNAVAILABLE)
    assert done.out == ""
    assert done.err.startswith(f"error: What answers at {api.url} is not the workflows service: ")
    assert "WORKFLOWS_API_URL" in done.err


@pytest.mark.parametrize("status", [301, 307])
async def test_a_redirection_is_no_success(
    api: RecordingApi, workflows: CommandLine, status: int
) -> None:
    api.answers.append(web.Response(status=status, headers={"Location": "https://example.com/"}))
    done = await workflows("list", code=Exit.UNAVAILABLE)
    assert "https://example.com/" in done.err
    assert "WORKFLOWS_API_URL" in done.err


async def test_an_answer_that_cannot_be_unpacked_is_no_success(
    api: RecordingApi, workflows: CommandLine
) -> None:
    headers = {"Content-Encoding": "gzip"}
    api.answers += [web.Response(body=b"no gzip", headers=headers) for _ in range(100)]
    done = await workflows("list", code=Exit.UNAVAILABLE)
    assert done.err.startswith(f"error: What answers at {api.url} is not the workflows service: ")


@pytest.mark.parametrize("errors", [None, 5, [], [5], [{}], [{"pointer": "/a"}], ["/a"]])
async def test_a_problem_with_odd_errors_is_still_a_problem(
    api: RecordingApi, workflows: CommandLine, errors: Any
) -> None:
    api.answers.append(problem(422, detail="It is wrong.", errors=errors))
    done = await workflows("trigger", "hello", code=Exit.INVALID)
    assert done.err.startswith("error: ")


async def test_fields_are_named_one_per_line(api: RecordingApi, workflows: CommandLine) -> None:
    errors = [{"pointer": "/a", "detail": "is odd"}, {"pointer": "", "detail": "is no object"}]
    api.answers.append(problem(422, "Invalid input", errors=errors))
    done = await workflows("trigger", "hello", code=Exit.INVALID)
    assert done.err == "error: Invalid input\n  /a: is odd\n  (document): is no object\n"


@pytest.mark.parametrize(
    ("pointer", "said"),
    [
        ("path/instant", "INSTANT"),
        ("query/from", "--from"),
        ("query/outcome/0", "--outcome"),
        ("query/triggerType", "--trigger-type"),
        ("/path/instant", "/path/instant"),
        ("/query/from", "/query/from"),
    ],
)
async def test_a_part_of_a_request_is_called_as_on_the_command_line(
    api: RecordingApi, workflows: CommandLine, pointer: str, said: str
) -> None:
    errors = [{"pointer": pointer, "detail": "is odd"}]
    api.answers.append(problem(422, "Invalid input", errors=errors))
    done = await workflows("list", code=Exit.INVALID)
    assert done.err == f"error: Invalid input\n  {said}: is odd\n"


@pytest.mark.parametrize(
    ("left", "more"), [(0, "no more retries"), (1, "1 more retry"), (2, "2 more retries")]
)
async def test_a_pending_workflow_is_refused_with_its_next_attempt(
    api: RecordingApi, workflows: CommandLine, left: int, more: str
) -> None:
    at = "2031-01-02T03:04:05.678Z"
    members = {**BUSY, "triggerStatus": "pending", "nextAttemptAt": at, "retriesLeft": left}
    detail = "Workflow 'hello' is pending with execution 'default:hello:7'."
    api.answers.append(_conflict("workflow-busy", detail, members))
    done = await workflows("trigger", "hello", code=Exit.REFUSED)
    expected = f"{detail} Its next attempt is at {local_time(at)} ({more} after it)."
    assert done.err == f"error: {expected}\n"


async def test_a_busy_workflow_is_refused_with_what_holds_it(
    api: RecordingApi, workflows: CommandLine
) -> None:
    members = {**BUSY, "triggerStatus": "busy", "nextAttemptAt": None, "retriesLeft": 3}
    detail = "Workflow 'hello' is busy with execution 'default:hello:7'."
    api.answers.append(_conflict("workflow-busy", detail, members))
    done = await workflows("trigger", "hello", code=Exit.REFUSED)
    assert done.err == f"error: {detail}\n"


async def test_a_workflow_that_waits_in_a_delay_is_refused_until_then_and_has_not_failed(
    api: RecordingApi, workflows: CommandLine
) -> None:
    at = "2031-01-02T03:04:05.678Z"
    members = {**BUSY, "triggerStatus": "busy", "nextAttemptAt": at, "retriesLeft": 3}
    detail = "Workflow 'hello' is busy with execution 'default:hello:7'."
    api.answers.append(_conflict("workflow-busy", detail, members))
    done = await workflows("trigger", "hello", code=Exit.REFUSED)
    expected = f"It waits until {local_time(at)}: 'workflows why default:hello:7' says what for."
    assert done.err == f"error: {detail} {expected}\n"


async def test_a_disabled_workflow_is_refused_with_the_command_that_enables_it(
    api: RecordingApi, workflows: CommandLine
) -> None:
    api.answers.append(_conflict("workflow-disabled", "PATCH enables it.", {"workflowId": "hello"}))
    done = await workflows("trigger", "hello", code=Exit.REFUSED)
    expected = "Workflow 'hello' is disabled. 'workflows enable hello' enables it."
    assert done.err == f"error: {expected}\n"


async def test_a_refusal_without_its_members_is_reported_by_its_detail(
    api: RecordingApi, workflows: CommandLine
) -> None:
    for kind in ("workflow-busy", "workflow-disabled"):
        api.answers.append(_conflict(kind, "It is so.", {}))
        done = await workflows("trigger", "hello", code=Exit.REFUSED)
        assert done.err == "error: It is so.\n"


def _conflict(kind: str, detail: str, members: dict[str, Any]) -> web.Response:
    return problem(409, detail=detail, type=f"urn:workflows:problem:{kind}", **members)
