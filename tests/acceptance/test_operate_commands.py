"""The commands that operate executions: what they send, what they print and how they exit."""

import json
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from local.cli.errors import Exit
from local.cli.output import local_time
from shared.adapters.mongo.connection import MongoConnection, MongoSettings
from tests.acceptance.conftest import MakeStack
from tests.support.command_line import CommandLine
from tests.support.destination import Destination
from tests.support.recording_api import RecordingApi
from tests.support.servers import mongodb_uri
from tests.support.stack import Json, Stack, log_action, manual

pytestmark = pytest.mark.one_broker


AT = "2031-01-02T03:04:05.678Z"
ONCE = {"retries": 0}


@pytest.fixture
def workflows(stack: Stack) -> CommandLine:
    return CommandLine(stack.workflows.url or "", {"COLUMNS": "20"})


@pytest.fixture
def recorded(api: RecordingApi) -> CommandLine:
    return CommandLine(api.url)


@pytest.fixture
def name(unique: str) -> str:
    """The id of a workflow that no other test has."""
    return f"cli-{unique}"


def answers(api: RecordingApi, *documents: Any) -> None:
    api.answers += [web.json_response(document) for document in documents]


async def failed_once(stack: Stack, destination: Destination, name: str) -> str:
    """Return an execution of two actions that failed at the second, which now works."""
    flaky = destination.to(f"/flaky/1/{name}", id="flaky", retry=ONCE)
    await stack.create(manual(name, destination.to("/ok", id="first"), flaky))
    execution_id = await stack.trigger(name, json={"n": 1})
    assert (await stack.ends(execution_id))["status"] == "failed"
    return execution_id


async def test_retry_waits_for_the_end_if_asked(
    stack: Stack, destination: Destination, workflows: CommandLine, name: str
) -> None:
    execution_id = await failed_once(stack, destination, name)
    done = await workflows("retry", execution_id, "--wait")
    assert done.lines[0] == f"Execution {execution_id}  completed"
    refused = await workflows("retry", execution_id, code=Exit.REFUSED)
    assert "only a failed one can be retried" in refused.err
    await workflows("retry", "unknown", code=Exit.NOT_FOUND)


async def test_replay_and_rerun_start_new_executions(
    stack: Stack, destination: Destination, workflows: CommandLine, name: str
) -> None:
    first = await failed_once(stack, destination, name)
    replayed = await workflows("replay", first, "--from", "flaky", "--wait", "--json")
    assert (replayed.json["status"], replayed.json["input"]) == ("completed", {"n": 1})
    rerun = await workflows("rerun", first, "--input", '{"n": 2}', "--wait")
    assert rerun.lines[0].endswith("  completed")
    assert f"  rerun       of {first}" in rerun.lines
    assert '  input       {"n": 2}' in rerun.lines
    accepted = (await workflows("rerun", first, "--json")).json
    assert accepted["status"] == "queued"
    await stack.ends(accepted["executionId"])
    await workflows("replay", first, "--from", "nothing", code=Exit.NOT_FOUND)
    await workflows("replay", first, code=Exit.USAGE)
    broken = await workflows("rerun", first, "--input", "{", code=Exit.INVALID)
    assert broken.err.startswith("error: --input: This is no JSON")


async def test_waiting_for_a_repetition_that_fails_is_exit_code_1(
    stack: Stack, workflows: CommandLine, name: str
) -> None:
    await stack.create(manual(name, {"type": "fail", "id": "f", "message": "on purpose"}))
    execution_id = (await stack.ends(await stack.trigger(name)))["executionId"]
    for words in (("retry", execution_id), ("rerun", execution_id)):
        done = await workflows(*words, "--wait", code=Exit.NOT_COMPLETED)
        assert "on purpose" in done.out


async def test_history_shows_events_or_what_it_was_like(
    stack: Stack, destination: Destination, workflows: CommandLine, name: str
) -> None:
    execution_id = await failed_once(stack, destination, name)
    events = (await workflows("history", execution_id)).lines
    types = [line.split()[2] for line in events]
    assert (types[0], types[-1]) == ("queued", "failed")
    then = await workflows("history", execution_id, "--at", "2")
    assert then.lines[0] == f"Execution {execution_id}  running"
    both = (await workflows("history", execution_id, "--at", "1", "--json")).json
    assert (both["state"]["status"], len(both["events"])) == ("queued", len(events))
    await workflows("history", execution_id, "--at", "99", code=Exit.NOT_FOUND)
    await workflows("history", execution_id, "--at", "0", code=Exit.USAGE)


async def test_why_says_what_it_waits_for(stack: Stack, workflows: CommandLine, name: str) -> None:
    await stack.create(manual(name, {"id": "nap", "type": "delay", "duration": "1h"}))
    execution_id = await stack.trigger(name)
    await stack.reaches(execution_id, "waiting")
    shown = await workflows("why", execution_id)
    until = (await workflows("why", execution_id, "--json")).json["until"]
    assert shown.lines == [
        f"{execution_id}  waiting",
        f"  The delay 'nap' lasts until {until}.",
        f"  (here that is {local_time(until)})",
    ]
    await workflows("cancel", execution_id)
    assert len((await workflows("why", execution_id)).lines) == 2


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (("--happened",), {"resolution": "happened"}),
        (("--happened", "--output", "null"), {"resolution": "happened", "output": None}),
        (("--happened", "--output", '{"a": 1}'), {"resolution": "happened", "output": {"a": 1}}),
        (("--did-not-happen",), {"resolution": "did-not-happen"}),
        (("--retry",), {"resolution": "retry"}),
    ],
)
async def test_resolve_sends_one_answer(
    api: RecordingApi, recorded: CommandLine, words: tuple[str, ...], body: Json
) -> None:
    done = await recorded("resolve", "x", "pay[3]", *words)
    (call,) = api.calls
    assert (call.method, call.path) == ("POST", "/executions/x/actions/pay[3]/resolve")
    assert json.loads(call.body) == body
    assert done.out == "x  queued\n"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--happened", "--retry"),
        ("--retry", "--output", "1"),
        ("--did-not-happen", "--output", "1"),
    ],
)
async def test_resolve_sends_no_ambiguous_answer(
    api: RecordingApi, recorded: CommandLine, words: tuple[str, ...]
) -> None:
    await recorded("resolve", "x", "pay", *words, code=Exit.USAGE)
    await recorded("resolve", "x", "", "--retry", code=Exit.USAGE)
    assert api.calls == []


async def test_an_edited_input_is_sent_only_if_one_is_given(
    api: RecordingApi, recorded: CommandLine
) -> None:
    await recorded("rerun", "x")
    await recorded("rerun", "x", "--input", "null")
    await recorded("replay", "x", "--from", "a", "--input", "5")
    bodies = [json.loads(call.body) for call in api.calls]
    assert bodies == [{}, {"input": None}, {"fromAction": "a", "input": 5}]


async def test_verify_goes_through_all_pages_and_fails_if_something_differs(
    api: RecordingApi, recorded: CommandLine
) -> None:
    wrong = {"executionId": "x", "differences": ["attempt is 7", "error is gone"]}
    pages = (
        {"checked": 100, "inconsistent": [], "nextCursor": "c"},
        {"checked": 1, "inconsistent": [wrong]},
    )
    answers(api, *pages, *pages)
    shown = await recorded("verify", "--workflow", "w", code=Exit.NOT_COMPLETED)
    assert [line.rstrip().split(maxsplit=1) for line in shown.lines] == [
        ["EXECUTION", "DIFFERENCE"],
        ["x", "attempt is 7"],
        ["x", "error is gone"],
        ["101", "executions checked, 1 inconsistent."],
    ]
    assert [call.query.get("cursor") for call in api.calls] == [None, "c"]
    assert {call.query["workflowId"] for call in api.calls} == {"w"}
    found = await recorded("verify", "--json", code=Exit.NOT_COMPLETED)
    assert found.json == {"checked": 101, "inconsistent": [wrong]}


async def test_verify_counts_on_a_terminal(api: RecordingApi, recorded: CommandLine) -> None:
    answers(
        api,
        {"checked": 100, "inconsistent": [], "nextCursor": "c"},
        {"checked": 1, "inconsistent": []},
    )
    shown = await recorded.on_terminal("verify")
    assert "checked 100 executions ..." in shown
    assert shown.endswith("101 executions checked, 0 inconsistent.\n")


async def test_verify_finds_what_was_forged(make_stack: MakeStack) -> None:
    stack = await make_stack()
    workflows = CommandLine(stack.workflows.url or "")
    assert (await workflows("verify")).out == "0 executions checked, 0 inconsistent.\n"
    await stack.create(manual("forged", log_action(id="a")))
    execution_id = (await stack.ends(await stack.trigger("forged")))["executionId"]
    assert (await workflows("verify")).out == "1 execution checked, 0 inconsistent.\n"
    settings = MongoSettings(mongodb_uri(), stack.env["MONGODB_DATABASE"], timedelta(seconds=20))
    mongo = MongoConnection(settings, "tests")
    await mongo.executions.update_one({"_id": execution_id}, {"$set": {"attempt": 9}})
    await mongo.close()
    found = await workflows("verify", code=Exit.NOT_COMPLETED)
    assert f"{execution_id}  attempt is stored as 9, the history gives 1" in found.lines


async def test_actions_lists_the_types_of_action(workflows: CommandLine) -> None:
    shown = await workflows("actions")
    assert shown.lines[0].split() == ["ACTION", "EFFECT", "RETRIES", "TIMEOUT", "SUMMARY"]
    rows = {line.split()[0]: line.split()[1] for line in shown.lines[1:]}
    assert (rows["log"], rows["http-request"], rows["pay-once"]) == (
        "pure",
        "idempotent",
        "at-most-once",
    )
    found = (await workflows("actions", "--json")).json
    assert {action["name"] for action in found} == set(rows)
