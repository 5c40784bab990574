"""What the command line sends, and what it refuses to send."""

import json
import sys
from pathlib import Path

import pytest
from aiohttp import web

from local.cli.errors import Exit
from local.processes import free_port
from tests.support.command_line import CommandLine
from tests.support.recording_api import RecordingApi, problem
from tests.support.stack import manual

READS = [
    ("list",),
    ("get", "hello"),
    ("occurrences", "hello"),
    ("why-not", "hello", "2026-01-31T02:00:00Z"),
    ("executions",),
    ("execution", "x"),
    ("history", "x"),
    ("why", "x"),
    ("verify",),
    ("actions",),
    ("dead-letters", "list"),
    ("dead-letters", "show", "x"),
]
CHANGES = [
    ("trigger", "hello"),
    ("cancel", "x"),
    ("retry", "x"),
    ("replay", "x", "--from", "a"),
    ("rerun", "x"),
    ("resolve", "x", "a", "--happened"),
    ("pause", "hello", "--reason", "r"),
    ("resume", "hello"),
    ("backfill", "hello", "--from", "2026-01-01T00:00:00Z", "--to", "2026-01-02T00:00:00Z"),
    ("disable", "hello"),
    ("enable", "hello"),
    ("delete", "hello"),
    ("dead-letters", "requeue", "x"),
    ("dead-letters", "discard", "x"),
]


@pytest.fixture
def workflows(api: RecordingApi) -> CommandLine:
    return CommandLine(api.url)


@pytest.fixture
def definition(tmp_path: Path) -> str:
    """A file with a definition."""
    path = tmp_path / "hello.json"
    path.write_text(json.dumps(manual("hello")))
    return str(path)


def command(words: tuple[str, ...]) -> str:
    return " ".join(words)


@pytest.mark.parametrize("words", CHANGES, ids=command)
async def test_every_change_carries_an_idempotency_key_of_its_own(
    api: RecordingApi, workflows: CommandLine, words: tuple[str, ...]
) -> None:
    for _ in range(2):
        await workflows(*words)
    assert len(api.calls) == 2
    assert len(set(api.keys)) == 2
    assert {call.method for call in api.calls} <= {"POST", "PATCH", "DELETE"}


async def test_apply_carries_a_key_for_each_request(
    api: RecordingApi, workflows: CommandLine, definition: str
) -> None:
    api.answers.append(problem(409))
    done = await workflows("apply", "-f", definition)
    assert done.lines == ["hello  updated  (version 1)"]
    assert [(call.method, call.path) for call in api.calls] == [
        ("POST", "/workflows"),
        ("PUT", "/workflows/hello"),
    ]
    assert len(set(api.keys)) == 2
    assert [json.loads(call.body) for call in api.calls] == [manual("hello")] * 2


async def test_a_key_of_ones_own_is_sent_as_it_is(
    api: RecordingApi, workflows: CommandLine
) -> None:
    for _ in range(2):
        await workflows("trigger", "hello", "--idempotency-key", "mine")
    assert api.keys == ["mine", "mine"]


@pytest.mark.parametrize(
    "words", [("trigger", "hello"), ("enable", "hello"), ("delete", "hello")], ids=command
)
async def test_a_request_without_an_answer_is_repeated_with_the_same_key(
    api: RecordingApi, workflows: CommandLine, words: tuple[str, ...]
) -> None:
    api.interrupted = 2
    await workflows(*words)
    assert len(api.calls) == 3
    assert len(set(api.keys)) == 1
    assert len({(call.method, call.path, call.body) for call in api.calls}) == 1


async def test_a_request_that_never_gets_an_answer_is_given_up(
    api: RecordingApi, workflows: CommandLine
) -> None:
    api.interrupted = 1000
    done = await workflows("trigger", "hello", code=Exit.UNAVAILABLE)
    assert f"Cannot reach the workflows service at {api.url}" in done.err
    assert len(set(api.keys)) == 1


async def test_ids_are_quoted_in_addresses(api: RecordingApi, workflows: CommandLine) -> None:
    await workflows("trigger", "a b?c#d")
    await workflows("cancel", "default:a%2Fb:1")
    first, second = (call.path for call in api.calls)
    assert first == "/workflows/a b?c#d/trigger"
    assert second == "/executions/default:a%2Fb:1/cancel"


@pytest.mark.parametrize(
    "words", [w for w in (*READS, *CHANGES) if w[-1] in {"hello", "x"}], ids=command
)
async def test_an_empty_id_is_refused_before_anything_is_sent(
    api: RecordingApi, workflows: CommandLine, words: tuple[str, ...]
) -> None:
    done = await workflows(*words[:-1], "", code=Exit.USAGE)
    assert done.out == ""
    (line,) = done.err.splitlines()
    assert line.startswith("error: ")
    assert line.endswith(" must not be empty.")
    assert api.calls == []


@pytest.mark.parametrize("key", ["", "a b", "ü", "a\nb", "x" * 256])
async def test_a_key_that_is_none_is_refused_before_anything_is_sent(
    api: RecordingApi, workflows: CommandLine, key: str
) -> None:
    done = await workflows("trigger", "hello", "--idempotency-key", key, code=Exit.USAGE)
    assert done.err.startswith("error: --idempotency-key must be ")
    assert api.calls == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        " ",
        "localhost:8081",
        "//localhost:8081",
        "ftp://localhost:8081",
        "http://",
        "http://:8081",
        "http://[::1",
        "http://localhost:http",
        "http://localhost:80810",
        "http://local host:8081",
        "http://local..host:8081",
        "http://localhost:8081\n",
        "http://localhost:8081/?tenant=1",
    ],
)
async def test_an_address_that_is_none_is_named_with_what_would_be_right(url: str) -> None:
    done = await CommandLine(url)("list", code=Exit.USAGE)
    assert done.out == ""
    (line,) = done.err.splitlines()
    assert line.startswith(f"error: WORKFLOWS_API_URL is {url!r}, ")
    assert line.endswith(" It must be an address such as http://127.0.0.1:8081.")


@pytest.mark.parametrize("path", ["/", "/some/where", "/some/where/"])
async def test_an_address_may_have_a_path(api: RecordingApi, path: str) -> None:
    await CommandLine(api.url + path)("get", "hello")
    assert [call.path for call in api.calls] == [f"{path.rstrip('/')}/workflows/hello"]


async def test_it_runs_as_a_module_too(api: RecordingApi) -> None:
    module = (sys.executable, "-m", "local.cli.app")
    assert (await CommandLine(api.url, program=module)("list", "--json")).json == []
    away = CommandLine("", program=module)
    assert (await away("list", code=Exit.USAGE)).err.startswith("error: WORKFLOWS_API_URL")


@pytest.mark.parametrize("words", [*READS[::2], *CHANGES[::3]], ids=command)
async def test_without_an_api_the_message_names_the_address_and_the_cure(
    words: tuple[str, ...],
) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    done = await CommandLine(away)(*words, code=Exit.UNAVAILABLE)
    assert done.out == ""
    (line,) = done.err.splitlines()
    assert line.startswith(f"error: Cannot reach the workflows service at {away}: ")
    assert "make run" in line
    assert "WORKFLOWS_API_URL" in line


async def test_apply_without_an_api_says_so_too(definition: str) -> None:
    away = CommandLine(f"http://127.0.0.1:{free_port()}")
    done = await away("apply", "-f", definition, code=Exit.UNAVAILABLE)
    assert "WORKFLOWS_API_URL" in done.err


@pytest.mark.parametrize("given", ["{", "", "@", "@/does/not/exist"])
async def test_input_that_is_no_json_is_refused_before_anything_is_sent(
    api: RecordingApi, workflows: CommandLine, given: str
) -> None:
    done = await workflows("trigger", "hello", "--input", given, code=Exit.INVALID)
    assert done.err.startswith("error: --input: ")
    assert api.calls == []


@pytest.mark.parametrize(
    "words",
    [
        ("frobnicate",),
        ("trigger",),
        ("apply",),
        ("list", "--limit", "0"),
        ("list", "--odd"),
        ("trigger", "hello", "--timeout", "soon"),
    ],
    ids=command,
)
async def test_wrong_usage_has_its_exit_code_and_sends_nothing(
    api: RecordingApi, workflows: CommandLine, words: tuple[str, ...]
) -> None:
    done = await workflows(*words, code=Exit.USAGE)
    assert done.out == ""
    assert "--help" in done.err
    assert api.calls == []


async def test_every_command_explains_itself() -> None:
    workflows = CommandLine("http://nowhere.invalid")
    commands = {words[:1] for words in (*READS, *CHANGES, ("apply",), ("up",))}
    for words in ((), *commands, ("dead-letters", "requeue")):
        done = await workflows(*words, "--help")
        assert done.err == ""
        assert command(("Usage: workflows", *words)) in done.out


async def test_what_a_backfill_leaves_to_the_schedule_is_said(
    api: RecordingApi, workflows: CommandLine
) -> None:
    api.answers.append(web.json_response({"items": [], "left": 2, "owed": 3}))
    span = ("--from", "2026-01-01T00:00:00Z", "--to", "2026-01-02T00:00:00Z")
    done = await workflows("backfill", "hello", *span, "--dry-run")
    assert done.lines[-2:] == [
        "0 would wait for their turn; 2 left out, as something ran for them already.",
        "3 left to the schedule, which has not dealt with them yet.",
    ]
