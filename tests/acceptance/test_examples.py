"""Every definition in `examples/` is applied as a reader would do it, runs, and completes."""

import json
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from local.cli.errors import Exit
from local.services import WORKFLOWS
from tests.support.command_line import CommandLine
from tests.support.destination import Destination
from tests.support.servers import ROOT
from tests.support.stack import Json, Stack
from tests.support.waiting import eventually

pytestmark = pytest.mark.one_broker


EXAMPLES: Final = sorted((ROOT / "examples").glob("*.json"))
PLATFORM: Final = f"127.0.0.1:{WORKFLOWS.default_port}"
ENDS: Final = {"saga": "failed"}
"""How an example ends that does not complete, as its point is something else."""

each_example = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)


@each_example
async def test_an_example_is_applied_and_its_execution_ends_as_it_should(
    path: Path, stack: Stack, destination: Destination, unique: str, tmp_path: Path
) -> None:
    definition = _read(path)
    adapted = _adapted(definition, stack, destination) | {"workflowId": f"{path.stem}-{unique}"}
    copy = tmp_path / path.name
    copy.write_text(json.dumps(adapted))
    workflows = CommandLine(stack.workflows.url or "")
    assert "created" in (await workflows("apply", "-f", str(copy))).out
    execution = await _exercised(stack, workflows, adapted)
    await workflows("delete", adapted["workflowId"])
    assert execution["status"] == ENDS.get(path.stem, "completed")
    states = {action["id"]: action["status"] for action in execution["actions"]}
    assert {states[action["id"]] for action in adapted["actions"] if "id" in action} <= {
        "completed",
        "skipped",
        *(["failed"] if path.stem in ENDS else []),
    }


def _read(path: Path) -> Json:
    definition: Json = json.loads(path.read_text())
    return definition


async def _exercised(stack: Stack, workflows: CommandLine, definition: Json) -> Json:
    """Return an execution that the example's own trigger started, after its end."""
    workflow_id = definition["workflowId"]
    if "manual" not in _trigger_types(definition):
        started = await eventually(lambda: stack.executions(workflowId=workflow_id))
        return await stack.ends(started[-1]["executionId"])
    code = Exit.NOT_COMPLETED if definition["workflowId"].partition("-")[0] in ENDS else Exit.OK
    done = await workflows("trigger", workflow_id, "--wait", "--json", code=code)
    waited: Json = done.json
    return waited


def _trigger_types(definition: Json) -> set[str]:
    return {t["type"] for t in definition.get("triggers") or [definition["trigger"]]}


def _adapted(value: Any, stack: Stack, destination: Destination) -> Any:
    """Shorten each wait, and lead each URL to this platform or to the local destination."""
    if isinstance(value, list):
        return [_adapted(item, stack, destination) for item in value]
    if not isinstance(value, dict):
        return value
    adapted = {key: _adapted(item, stack, destination) for key, item in value.items()}
    if "interval" in adapted:
        adapted["interval"] = "1s"
    if "schedule" in adapted:
        adapted["schedule"] = "* * * * * *"
    if value.get("type") == "delay":
        adapted["duration"] = "1s"
    if "url" in adapted:
        parts = urlsplit(adapted["url"])
        served = stack.workflows.url if parts.netloc == PLATFORM else destination.url
        adapted["url"] = f"{served}{parts._replace(scheme='', netloc='').geturl()}"
    return adapted


@each_example
def test_an_example_is_named_like_its_file(path: Path) -> None:
    assert _read(path)["workflowId"] == path.stem


def test_there_are_examples_of_the_kinds_of_trigger_and_of_action() -> None:
    definitions = [_read(path) for path in EXAMPLES]
    types = {kind for d in definitions for kind in _trigger_types(d)}
    assert types >= {"manual", "periodic", "cron"}
    assert any("triggers" in d and "overlap" in d for d in definitions)
    assert {a["type"] for d in definitions for a in d["actions"]} >= {"log", "http-request"}


async def _run(name: str, stack: Stack, destination: Destination, unique: str) -> Json:
    """Return the execution of an example that its user triggers."""
    definition = _adapted(_read(ROOT / "examples" / f"{name}.json"), stack, destination)
    await stack.create(definition | {"workflowId": f"{name}-{unique}"})
    return await stack.ends(await stack.trigger(f"{name}-{unique}"))


async def test_the_fan_out_joins_what_it_fetched(
    stack: Stack, destination: Destination, unique: str
) -> None:
    execution = await _run("fan-out", stack, destination, unique)
    (summary,) = [a for a in execution["actions"] if a["id"] == "summary"]
    assert summary["output"] == {"workflows": 200, "executions": 200, "ready": 3}


async def test_the_saga_undoes_what_it_did_last_first(
    stack: Stack, destination: Destination, unique: str
) -> None:
    execution = await _run("saga", stack, destination, unique)
    done = [e["action"] for e in execution["history"] if e["type"] == "action.completed"]
    assert done == ["book-flight", "book-hotel", "cancel-hotel", "cancel-flight"]
    assert execution["error"]["message"] == "the card was declined"


async def test_the_reminder_waits_without_a_runner(
    stack: Stack, destination: Destination, unique: str
) -> None:
    execution = await _run("reminder", stack, destination, unique)
    types = [event["type"] for event in execution["history"]]
    assert types[2:5] == ["action.waiting", "waiting", "claimed"]


async def test_the_flaky_api_is_asked_until_it_answers(
    stack: Stack, destination: Destination, unique: str
) -> None:
    execution = await _run("flaky-api", stack, destination, unique)
    states = {action["id"]: action for action in execution["actions"]}
    assert states["fetch"]["attempts"] == 3
    assert states["apologise"]["status"] == "skipped"
