"""Every definition in `examples/` is applied as a reader would do it, runs, and completes."""

import json
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from local.services import WORKFLOWS
from tests.support.command_line import CommandLine
from tests.support.destination import Destination
from tests.support.servers import ROOT
from tests.support.stack import Json, Stack
from tests.support.waiting import eventually

EXAMPLES: Final = sorted((ROOT / "examples").glob("*.json"))
PLATFORM: Final = f"127.0.0.1:{WORKFLOWS.default_port}"
each_example = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)


@each_example
async def test_an_example_is_applied_and_its_execution_completes(
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
    assert execution["status"] == "completed"
    assert {action["status"] for action in execution["actions"]} == {"completed"}
    assert len(execution["actions"]) == len(definition["actions"])


def _read(path: Path) -> Json:
    definition: Json = json.loads(path.read_text())
    return definition


async def _exercised(stack: Stack, workflows: CommandLine, definition: Json) -> Json:
    """Return an execution that the example's own trigger started, after its end."""
    workflow_id = definition["workflowId"]
    if definition["trigger"]["type"] != "manual":
        started = await eventually(lambda: stack.executions(workflowId=workflow_id))
        return await stack.ends(started[-1]["executionId"])
    waited: Json = (await workflows("trigger", workflow_id, "--wait", "--json")).json
    return waited


def _adapted(value: Any, stack: Stack, destination: Destination) -> Any:
    """Shorten the interval, and lead each URL to this platform or to the local destination."""
    if isinstance(value, list):
        return [_adapted(item, stack, destination) for item in value]
    if not isinstance(value, dict):
        return value
    adapted = {key: _adapted(item, stack, destination) for key, item in value.items()}
    if "interval" in adapted:
        adapted["interval"] = "1s"
    if "url" in adapted:
        parts = urlsplit(adapted["url"])
        served = stack.workflows.url if parts.netloc == PLATFORM else destination.url
        adapted["url"] = f"{served}{parts._replace(scheme='', netloc='').geturl()}"
    return adapted


@each_example
def test_an_example_is_named_like_its_file(path: Path) -> None:
    assert _read(path)["workflowId"] == path.stem


def test_there_are_examples_of_both_kinds_of_trigger_and_of_action() -> None:
    definitions = [_read(path) for path in EXAMPLES]
    assert {d["trigger"]["type"] for d in definitions} >= {"manual", "periodic"}
    assert {a["type"] for d in definitions for a in d["actions"]} >= {"log", "http-request"}
