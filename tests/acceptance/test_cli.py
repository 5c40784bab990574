"""The command line against the running services: what it prints and how it exits."""

import asyncio
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from local.cli.errors import Exit
from local.cli.output import local_time
from shared.adapters.mongo.connection import MongoConnection, MongoSettings
from shared.adapters.mongo.operations import MongoDeadLetters
from shared.adapters.system.clock import SystemClock
from shared.contracts.requests import encode_request
from shared.ports.bus import ExecutionRequest, Record
from shared.ports.dead_letters import DeadLetter
from tests.support.command_line import CommandLine
from tests.support.destination import Destination
from tests.support.servers import mongodb_uri
from tests.support.stack import Stack, log_action, manual, periodic, quick_retry
from tests.support.waiting import PATIENCE, eventually

pytestmark = pytest.mark.one_broker


UNKNOWN = 'requests_dropped_total{reason="unknown"}'


@pytest.fixture
def workflows(stack: Stack) -> CommandLine:
    return CommandLine(stack.workflows.url or "", {"COLUMNS": "20"})


@pytest.fixture
def name(unique: str) -> str:
    """The id of a workflow that no other test has."""
    return f"cli-{unique}"


async def test_list_shows_workflows_with_their_trigger_and_its_status(
    stack: Stack, workflows: CommandLine, name: str
) -> None:
    await stack.create(manual(f"{name}-manual"))
    await stack.create(periodic(f"{name}-periodic", "2h"))
    await workflows("disable", f"{name}-manual")
    shown = await workflows("list", "--limit", "1000")
    assert shown.lines[0].split() == ["WORKFLOW", "TRIGGER", "STATUS", "NEXT", "RUN", "VERSION"]
    rows = {line.split()[0]: line.split()[1:] for line in shown.lines}
    assert rows[f"{name}-manual"] == ["manual", "disabled", "-", "1"]
    assert rows[f"{name}-periodic"][:3] == ["periodic", "2h", "idle"]
    kinds = await workflows("list", "--trigger-type", "periodic", "--limit", "1000", "--json")
    ids = {workflow["workflowId"] for workflow in kinds.json}
    assert f"{name}-periodic" in ids
    assert f"{name}-manual" not in ids
    assert len((await workflows("list", "--limit", "1", "--json")).json) == 1
    cut = await workflows("list", "--limit", "1")
    assert "There are more: --limit says how many to show." in cut.err
    assert "There are more" not in shown.out
    await workflows("list", "--status", "odd", code=Exit.INVALID)


async def test_get_shows_one_workflow(stack: Stack, workflows: CommandLine, name: str) -> None:
    created = await stack.create(periodic(name, "2h", log_action("some message")))
    shown = (await workflows("get", name)).out
    assert f"Workflow {name} (version 1)" in shown
    assert "periodic 2h, idle" in shown
    assert "some message" in shown
    assert (await workflows("get", name, "--json")).json == created
    unknown = await workflows("get", f"{name}-unknown", code=Exit.NOT_FOUND)
    assert unknown.err == f"error: There is no workflow '{name}-unknown'.\n"


async def test_trigger_answers_at_once_with_the_execution(
    stack: Stack, workflows: CommandLine, name: str, tmp_path: Path
) -> None:
    await stack.create(manual(name))
    execution_id, status = (await workflows("trigger", name)).out.split()
    assert status == "queued"
    assert (await stack.ends(execution_id))["status"] == "completed"
    given = tmp_path / "input.json"
    given.write_text('{"n": 1}')
    accepted = (await workflows("trigger", name, "--input", f"@{given}", "--json")).json
    assert accepted["status"] == "queued"
    assert (await stack.ends(accepted["executionId"]))["input"] == {"n": 1}


async def test_trigger_can_wait_for_the_end(
    stack: Stack, workflows: CommandLine, name: str
) -> None:
    await stack.create(manual(name, log_action("Hello, world")))
    shown = (await workflows("trigger", name, "--wait", "--input", '{"who": "you"}')).out
    assert shown.splitlines()[0].endswith("completed")
    assert '{"who": "you"}' in shown
    assert " ms after it was due" in shown
    for event in ("queued", "claimed", "action.completed", "Hello, world"):
        assert event in shown
    waited = (await workflows("trigger", name, "--wait", "--json")).json
    assert waited == await stack.execution(waited["executionId"])


async def test_trigger_exits_with_an_error_when_the_execution_fails(
    stack: Stack, workflows: CommandLine, destination: Destination, name: str
) -> None:
    await stack.create(manual(name, destination.to("/status/404")))
    failed = await workflows("trigger", name, "--wait", code=Exit.NOT_COMPLETED)
    assert failed.lines[0].endswith("failed")
    assert "404" in failed.out
    as_json = await workflows("trigger", name, "--wait", "--json", code=Exit.NOT_COMPLETED)
    assert as_json.json["status"] == "failed"


async def test_trigger_that_is_refused_says_why(
    stack: Stack, workflows: CommandLine, destination: Destination, name: str
) -> None:
    await stack.create(manual(name, destination.to("/hold")))
    gave_up = await workflows(
        "trigger", name, "--wait", "--timeout", "0.1", code=Exit.NOT_COMPLETED
    )
    (holder,) = await stack.executions(workflowId=name)
    execution_id = holder["executionId"]
    assert gave_up.out == ""
    assert f"{execution_id} is still" in gave_up.err
    assert "after 0.1 s" in gave_up.err
    busy = await workflows("trigger", name, code=Exit.REFUSED)
    assert f"'{name}' is busy with execution '{execution_id}'" in busy.err
    destination.held.set()
    await stack.ends(execution_id)
    await workflows("disable", name)
    disabled = await workflows("trigger", name, code=Exit.REFUSED)
    assert disabled.err == (
        f"error: Workflow '{name}' is disabled. 'workflows enable {name}' enables it.\n"
    )
    await workflows("trigger", f"{name}-unknown", code=Exit.NOT_FOUND)


async def test_trigger_of_a_pending_workflow_says_when_it_is_tried_again(
    stack: Stack, workflows: CommandLine, destination: Destination, name: str
) -> None:
    failing = destination.to("/status/500")
    await stack.create(manual(name, failing, retry=quick_retry(2, initial="1h")))
    execution_id = await stack.trigger(name)
    pending = await stack.reaches(execution_id, "pending")
    refused = await workflows("trigger", name, code=Exit.REFUSED)
    assert refused.err == (
        f"error: Workflow '{name}' is pending with execution '{execution_id}'. "
        f"Its next attempt is at {local_time(pending['nextAttemptAt'])} "
        "(1 more retry after it).\n"
    )
    await workflows("cancel", execution_id)


async def test_a_workflow_may_be_called_like_a_folder(stack: Stack, workflows: CommandLine) -> None:
    for name in (".", ".."):
        await stack.create(manual(name))
        assert (await workflows("get", name, "--json")).json["workflowId"] == name
        assert (await workflows("trigger", name, "--wait", "--json")).json["workflowId"] == name
        await workflows("delete", name)


async def test_executions_are_listed_newest_first_and_filtered(
    stack: Stack, workflows: CommandLine, destination: Destination, name: str
) -> None:
    await stack.create(manual(name, destination.to("/flaky/1"), retry=quick_retry(0)))
    ids = [(await stack.ends(await stack.trigger(name)))["executionId"] for _ in range(3)]
    shown = await workflows("executions", "--workflow", name)
    assert shown.lines[0].split() == ["DUE", "WORKFLOW", "STATUS", "LATE", "EXECUTION"]
    assert [line.split()[-1] for line in shown.lines[1:]] == ids[::-1]
    by_status = await workflows("executions", "--workflow", name, "--status", "failed", "--json")
    assert [e["executionId"] for e in by_status.json] == ids[:1]
    both = ("--status", "failed", "--status", "completed", "--limit", "2")
    found = await workflows("executions", "--workflow", name, *both, "--json")
    assert [e["executionId"] for e in found.json] == ids[:0:-1]
    nothing = await workflows("executions", "--workflow", f"{name}-unknown")
    assert nothing.out.startswith("There are no such executions.")
    empty = await workflows("executions", "--workflow", f"{name}-unknown", "--json")
    assert empty.json == []
    refused = await workflows("executions", "--status", "odd", code=Exit.INVALID)
    assert "--status: is 'odd'; must be one of 'buffered', " in refused.err


async def test_executions_are_watched_until_an_interrupt(
    stack: Stack, workflows: CommandLine, destination: Destination, name: str
) -> None:
    await stack.create(manual(name, destination.to("/hold")))
    execution_id = await stack.trigger(name)
    await stack.reaches(execution_id, "running")
    watching = workflows.start("executions", "--watch", "--workflow", name)
    assert watching.stdout is not None
    first = await asyncio.to_thread(watching.stdout.readline)
    destination.held.set()
    second = await asyncio.to_thread(watching.stdout.readline)
    watching.send_signal(signal.SIGINT)
    out, err = await asyncio.to_thread(watching.communicate, timeout=PATIENCE)
    assert [line.split()[3] for line in (first, second)] == ["running", "completed"]
    assert {line.split()[-1] for line in (first, second)} == {execution_id}
    assert (watching.returncode, out, err) == (128 + signal.SIGINT, "", "")


async def test_an_execution_is_shown_with_its_history_and_cancelled_once(
    stack: Stack, workflows: CommandLine, destination: Destination, name: str
) -> None:
    await stack.create(manual(name, destination.to("/hold")))
    execution_id = await stack.trigger(name)
    await stack.reaches(execution_id, "running")
    shown = await workflows("execution", execution_id)
    assert shown.lines[0] == f"Execution {execution_id}  running"
    assert [line.split()[2] for line in shown.lines[-2:]] == ["queued", "claimed"]
    cancelled = await workflows("cancel", execution_id)
    assert cancelled.lines == [f"{execution_id}  cancelled"]
    again = await workflows("cancel", execution_id, code=Exit.REFUSED)
    assert "already ended: cancelled" in again.err
    read = await workflows("execution", execution_id, "--json")
    assert read.json == await stack.execution(execution_id)
    for command in ("execution", "cancel"):
        await workflows(command, f"{name}-unknown", code=Exit.NOT_FOUND)


async def test_workflows_are_disabled_enabled_and_deleted(
    stack: Stack, workflows: CommandLine, destination: Destination, name: str
) -> None:
    await stack.create(manual(name, destination.to("/hold")))
    assert (await workflows("disable", name)).lines == [f"{name}  disabled"]
    assert (await workflows("get", name, "--json")).json["enabled"] is False
    assert (await workflows("enable", name, "--json")).json["enabled"] is True
    execution_id = await stack.trigger(name)
    assert (await workflows("delete", name, "--cancel")).lines == [f"{name}  deleted"]
    assert (await stack.execution(execution_id))["status"] == "cancelled"
    await stack.create(manual(name))
    deleted = await workflows("delete", name, "--json")
    assert deleted.json == {"workflowId": name, "change": "deleted"}
    for command in ("get", "delete", "enable", "disable", "trigger"):
        await workflows(command, name, code=Exit.NOT_FOUND)
    kept = await workflows("executions", "--workflow", name, "--json")
    assert [e["executionId"] for e in kept.json] == [execution_id]


async def _keep_dead_letters(stack: Stack, unique: str, count: int) -> list[DeadLetter]:
    """Put dead letters into the database; their bytes ask for an execution that is not there."""
    settings = MongoSettings(mongodb_uri(), stack.env["MONGODB_DATABASE"], timedelta(seconds=20))
    mongo = MongoConnection(settings, "tests")
    await mongo.open()
    topic = f"{stack.env['KAFKA_TOPIC_PREFIX']}execution-requests"
    now = SystemClock().now()
    value = encode_request(ExecutionRequest(unique, "default", unique, now), "tests")
    letters = [
        DeadLetter(
            f"{unique}-{number}",
            Record(topic, 0, number, now, b"k", value if number else b"\xff" + value),
            "not understood",
            now,
            now + timedelta(days=1),
        )
        for number in range(count)
    ]
    for letter in letters:
        await MongoDeadLetters(mongo).add(letter)
    await mongo.close()
    return letters


async def test_dead_letters_are_listed_shown_requeued_and_discarded(
    stack: Stack, workflows: CommandLine, unique: str
) -> None:
    before = await stack.runner.metric(UNKNOWN)
    binary, text = (letter.id for letter in await _keep_dead_letters(stack, unique, 2))
    listed = await workflows("dead-letters", "list", "--status", "new", "--limit", "1000")
    assert {binary, text} <= {line.split()[-1] for line in listed.lines}
    shown = (await workflows("dead-letters", "show", text)).out
    assert "not understood" in shown
    assert unique in (await workflows("dead-letters", "show", text, "--json")).json["text"]
    assert "(base64)" in (await workflows("dead-letters", "show", binary)).out
    assert (await workflows("dead-letters", "requeue", text)).lines == [f"{text}  requeued"]
    discarded = await workflows("dead-letters", "discard", binary, "--json")
    assert (discarded.json["id"], discarded.json["status"]) == (binary, "discarded")
    for command in ("requeue", "discard"):
        refused = await workflows("dead-letters", command, text, code=Exit.REFUSED)
        assert "was requeued already" in refused.err
        await workflows("dead-letters", command, f"{unique}-9", code=Exit.NOT_FOUND)
    assert (await workflows("dead-letters", "show", text, "--json")).json["status"] == "requeued"
    new = await workflows("dead-letters", "list", "--status", "new", "--limit", "1000", "--json")
    assert not {binary, text} & {letter["id"] for letter in new.json}
    await eventually(lambda: stack.runner.metric(UNKNOWN), lambda count: count > before)


async def test_long_names_are_printed_whole_when_no_terminal_is_there(
    stack: Stack, workflows: CommandLine, unique: str
) -> None:
    name = f"{unique}-".ljust(60, "x")
    await stack.create(manual(name))
    execution_id = (await workflows("trigger", name)).out.split()[0]
    await stack.ends(execution_id)
    listed = await workflows("list", "--limit", "1000")
    assert name in {line.split()[0] for line in listed.lines}
    (_, row) = (await workflows("executions", "--workflow", name)).lines
    assert (row.split()[2], row.split()[-1]) == (name, execution_id)
    assert execution_id in (await workflows("execution", execution_id)).lines[0]
