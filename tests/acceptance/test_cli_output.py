"""What the command line prints, for people at a terminal, for files and for programs."""

import asyncio
import json
import signal
from typing import Any

import pytest
from aiohttp import web

from local.cli.errors import Exit
from local.cli.output import local_time
from tests.support.command_line import CommandLine
from tests.support.recording_api import ANSWER, RecordingApi
from tests.support.waiting import PATIENCE

AT = "2031-01-02T03:04:05.678Z"
LONG = "-".join(str(number) for number in range(200))
SENTENCE = " ".join(str(number) for number in range(200))
EXECUTION = {
    "executionId": f"default:{LONG}",
    "workflowId": LONG,
    "version": 1,
    "trigger": "manual",
    "status": "failed",
    "createdAt": AT,
    "retriesLeft": 0,
    "input": {"text": SENTENCE},
    "error": {"category": "permanent", "message": SENTENCE},
    "history": [
        {"seq": 1, "type": "action.completed", "at": AT, "output": {"text": SENTENCE}},
        {"seq": 2, "type": "failed", "at": AT, "error": {"message": SENTENCE}},
    ],
}
WORKFLOW = {
    **ANSWER,
    "workflowId": LONG,
    "trigger": {"type": "manual", "status": "busy", "executionId": f"default:{LONG}"},
    "actions": [{"type": "log", "message": SENTENCE}],
}
LETTER = {
    "id": LONG,
    "status": "new",
    "reason": SENTENCE,
    "topic": LONG,
    "partition": 0,
    "offset": 1,
    "receivedAt": AT,
    "text": SENTENCE,
    "value": "",
}
OUTPUT = json.dumps({"text": SENTENCE})


@pytest.fixture
def workflows(api: RecordingApi) -> CommandLine:
    return CommandLine(api.url, {"COLUMNS": "20"})


def answer(api: RecordingApi, *documents: Any) -> None:
    api.answers += [web.json_response(document) for document in documents]


async def test_nothing_is_wrapped_folded_or_cut_where_no_terminal_is(
    api: RecordingApi, workflows: CommandLine
) -> None:
    answer(api, {"items": [WORKFLOW]})
    (_, row) = (await workflows("list")).lines
    assert row.split()[0] == LONG
    answer(api, WORKFLOW)
    shown = (await workflows("get", LONG)).lines
    assert shown[0] == f"Workflow {LONG} (version 1)"
    assert shown[-1].endswith(json.dumps(WORKFLOW["actions"][0]))  # type: ignore[index]
    answer(api, {"items": [EXECUTION]})
    (_, row) = (await workflows("executions")).lines
    assert (row.split()[2], row.split()[-1]) == (LONG, f"default:{LONG}")
    answer(api, {"items": [LETTER]})
    (_, row) = (await workflows("dead-letters", "list")).lines
    assert SENTENCE in row
    assert row.split()[-1] == LONG
    answer(api, LETTER)
    shown = (await workflows("dead-letters", "show", LONG)).lines
    assert [line for line in shown if line.endswith(SENTENCE)] == [shown[1], shown[-1]]
    (nothing,) = (await workflows("executions")).lines
    assert nothing.startswith("There are no such executions.")


async def test_a_history_is_printed_whole_where_no_terminal_is(
    api: RecordingApi, workflows: CommandLine
) -> None:
    answer(api, EXECUTION)
    lines = (await workflows("execution", "x")).lines
    assert lines[0] == f"Execution default:{LONG}  failed"
    assert lines[4].endswith(f" {OUTPUT}")
    assert lines[5].endswith(f" {SENTENCE} (permanent)")
    assert lines[6].endswith(f" {OUTPUT}")
    assert lines[7].endswith(f" {SENTENCE}")
    assert len(lines) == 8


UNKNOWN = {"id": "pay", "status": "unknown"}


@pytest.mark.parametrize(
    ("status", "actions", "shown"),
    [
        ("pending", [], f"next try    {local_time(AT)} (2 more retries after it)"),
        ("waiting", [], f"waits until {local_time(AT)}"),
        ("waiting", [UNKNOWN], "waits for   an answer about pay: see 'workflows resolve'"),
        (
            "waiting",
            [{"id": "each", "status": "expanded", "items": [UNKNOWN]}],
            "waits for   an answer about pay: see 'workflows resolve'",
        ),
    ],
    ids=["backoff", "timer", "person", "person-for-an-item"],
)
async def test_it_is_said_what_an_execution_waits_for(
    api: RecordingApi, workflows: CommandLine, status: str, actions: list[Any], shown: str
) -> None:
    waits = {"status": status, "nextAttemptAt": AT, "retriesLeft": 2, "actions": actions}
    answer(api, {**EXECUTION, **waits})
    assert f"  {shown}" in (await workflows("execution", "x")).lines


async def test_help_and_wrong_usage_are_printed_whole_where_no_terminal_is(
    workflows: CommandLine,
) -> None:
    unknown = await workflows(LONG, code=Exit.USAGE)
    assert [line for line in unknown.err.splitlines() if LONG in line]
    wrong = await workflows("executions", "--limit", "none", code=Exit.USAGE)
    (line,) = (line for line in wrong.err.splitlines() if "--limit" in line)
    assert "valid" in line
    for words, sentence in {
        (): "Start MongoDB, a broker and the three services here, until Ctrl-C.",
        ("executions",): "Only those with this status; may be repeated.",
        ("dead-letters",): "Messages that no runner could understand.",
        ("dead-letters", "list"): "How many to show at most.",
    }.items():
        shown = await workflows(*words, "--help")
        assert sentence in shown.out


async def test_a_terminal_is_not_overrun(api: RecordingApi, workflows: CommandLine) -> None:
    for words, document in {
        ("list",): {"items": [WORKFLOW]},
        ("get", "x"): WORKFLOW,
        ("executions",): {"items": [EXECUTION]},
        ("execution", "x"): EXECUTION,
        ("dead-letters", "list"): {"items": [LETTER]},
        ("--help",): None,
    }.items():
        answer(api, document)
        lines = (await workflows.on_terminal(*words, columns=60)).splitlines()
        assert len(lines) > 2
        assert max(len(line) for line in lines) <= 60


async def test_an_output_in_a_history_is_cut_with_an_ellipsis_on_a_terminal(
    api: RecordingApi, workflows: CommandLine
) -> None:
    short = {**EXECUTION["history"][0], "output": "short"}  # type: ignore[index]
    answer(api, {**EXECUTION, "history": [*EXECUTION["history"], short]})  # type: ignore[misc]
    lines = (await workflows.on_terminal("execution", "x", columns=2000)).splitlines()
    assert lines[-1].endswith(' "short"')
    cut = lines[-3].partition(" {")[2]
    assert len(cut) < 200
    assert cut.endswith("…")
    assert OUTPUT[1:].startswith(cut.removesuffix("…"))
    assert lines[-2].endswith(f" {SENTENCE}")


async def test_changes_are_watched_as_one_json_object_per_line(
    api: RecordingApi, workflows: CommandLine
) -> None:
    other = {**EXECUTION, "executionId": "other", "status": "running"}
    done = {**other, "status": "completed"}
    answer(api, {"items": []}, {"items": [other, EXECUTION]}, {"items": [other, EXECUTION]})
    for _ in range(100):
        answer(api, {"items": [done, EXECUTION]})
    watching = workflows.start("executions", "--watch", "--json")
    assert watching.stdout is not None
    lines = [await asyncio.to_thread(watching.stdout.readline) for _ in range(3)]
    watching.send_signal(signal.SIGINT)
    out, err = await asyncio.to_thread(watching.communicate, timeout=PATIENCE)
    assert [json.loads(line) for line in lines] == [EXECUTION, other, done]
    assert (watching.returncode, out, err) == (128 + signal.SIGINT, "", "")


async def test_a_watch_whose_reader_has_gone_ends_quietly(
    api: RecordingApi, workflows: CommandLine
) -> None:
    for number in range(100):
        answer(api, {"items": [{**EXECUTION, "executionId": str(number)}]})
    watching = workflows.start("executions", "--watch", "--json")
    assert watching.stdout is not None
    assert watching.stderr is not None
    await asyncio.to_thread(watching.stdout.readline)
    watching.stdout.close()
    assert await asyncio.to_thread(watching.wait, PATIENCE) == 1
    assert watching.stderr.read() == ""
    watching.stderr.close()


@pytest.mark.parametrize("words", [("delete", "x"), ("delete", "x", "--cancel")])
async def test_a_deletion_can_be_printed_as_json(
    api: RecordingApi, workflows: CommandLine, words: tuple[str, ...]
) -> None:
    api.answers.append(web.Response(status=204))
    done = await workflows(*words, "--json")
    assert done.json == {"workflowId": "x", "change": "deleted"}


@pytest.mark.parametrize("command", ["requeue", "discard"])
async def test_what_became_of_a_dead_letter_can_be_printed_as_json(
    api: RecordingApi, workflows: CommandLine, command: str
) -> None:
    answer(api, LETTER)
    assert (await workflows("dead-letters", command, "x", "--json")).json == LETTER
