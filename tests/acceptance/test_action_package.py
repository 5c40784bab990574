"""A third party's action, from its package in `examples/`: installed, used, and claimed twice."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Final

import pytest

from shared.ports.actions import ENTRY_POINT_GROUP
from tests.acceptance.conftest import MakeStack
from tests.support.installing import install, note
from tests.support.servers import ROOT, brokers
from tests.support.stack import QUICK, Json, Stack, events, manual
from tests.support.waiting import eventually

pytestmark = pytest.mark.one_broker


PACKAGE: Final = ROOT / "examples" / "action-package"
REFUSED: Final = 2
SERVICES: Final = ("workflows", "scheduler", "runner")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Return a directory in which the package is installed."""
    target = tmp_path / "installed"
    target.mkdir()
    return install(PACKAGE, target)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Return the directory whose files may be looked at."""
    directory = tmp_path / "files"
    directory.mkdir()
    (directory / "order.csv").write_bytes(b"1;2;3\n")
    (tmp_path / "secret.txt").write_text("secret")
    return directory


@pytest.fixture
async def stack(make_stack: MakeStack, installed: Path, files: Path) -> Stack:
    """The services with the package."""
    return _finding(installed, await make_stack("none", CHECKSUM_DIRECTORY=str(files)))


def _finding(installed: Path, stack: Stack) -> Stack:
    """Let the services of a platform find what is installed in a directory."""
    stack.env["PYTHONPATH"] = os.pathsep.join([str(installed), stack.env["PYTHONPATH"]])
    return stack


async def _run(stack: Stack, workflow_id: str, **given: str) -> Json:
    await stack.create(manual(workflow_id, {"id": "check", "type": "checksum", **given}))
    return await stack.ends(await stack.trigger(workflow_id))


async def test_a_packages_action_is_there_once_it_is_installed(stack: Stack, files: Path) -> None:
    await stack.start()
    listed = (await stack.request("GET", "/actions")).json()["items"]
    (shown,) = [action for action in listed if action["name"] == "checksum"]
    assert (shown["effect"], shown["timeout"], shown["retry"]["retries"]) == ("pure", "30s", 5)
    assert set(shown["parameters"]["properties"]) == {"file", "algorithm", "expected"}

    await stack.create(json.loads((PACKAGE / "checksum.json").read_text()))
    triggered = await stack.trigger("checksum", json={"file": "order.csv"})
    execution = await stack.ends(triggered)
    found = hashlib.sha256(b"1;2;3\n").hexdigest()
    assert execution["status"] == "completed"
    output = {"algorithm": "sha256", "checksum": found, "bytes": 6}
    assert execution["actions"][0]["output"] == output
    assert execution["actions"][1]["output"]["message"] == f"order.csv: 6 bytes, {found}"

    for name, given, said in (
        ("other", {"file": "order.csv", "expected": "0" * 64}, found),
        ("outside", {"file": "../secret.txt"}, "is not within CHECKSUM_DIRECTORY"),
    ):
        failed = await _run(stack, name, **given)
        assert (failed["status"], failed["error"]["category"]) == ("failed", "permanent")
        assert said in failed["error"]["message"]
    refused = manual("wrong", {"type": "checksum", "file": "x", "algorithm": "crc"})
    answer = await stack.request("POST", "/workflows", json=refused)
    assert answer.json()["errors"][0]["pointer"] == "/actions/0/algorithm"

    await stack.create(manual("late", {"id": "check", "type": "checksum", "file": "late.csv"}))
    waits = await stack.trigger("late")
    await stack.reaches(waits, "pending")
    (files / "late.csv").touch()
    arrived = await stack.ends(waits)
    assert arrived["status"] == "completed"
    at = {"at": events(arrived).index("retry.scheduled") + 1}
    history = (await stack.request("GET", f"/executions/{waits}/history", params=at)).json()
    pending = history["state"]
    assert (pending["retriesLeft"], pending["error"]["category"]) == (4, "recoverable")


@pytest.mark.parametrize("service", SERVICES)
async def test_a_service_does_not_start_while_two_packages_claim_one_name(
    installed: Path, unique: str, service: str
) -> None:
    stack = _finding(installed, Stack(next(iter(brokers())), unique, QUICK))
    copied = (installed / "workflow_checksum.py").read_text()
    (installed / "other.py").write_text(copied.replace("ChecksumAction", "OtherChecksum"))
    note(installed, "other", "2.0", {ENTRY_POINT_GROUP: {"sum": "other:CHECKSUM"}})
    refused = stack.add(service)

    async def code() -> int | None:
        return refused.process.exit_code

    assert await eventually(code, lambda code: code is not None) == REFUSED
    await stack.close()
    (said,) = [line["text"] for line in refused.lines if line["event"] == "test.unparsed"]
    assert said.startswith("error: Two actions are registered as 'checksum': ")
    assert {"ChecksumAction", "OtherChecksum"} <= set(re.findall("[A-Za-z]+", said))
    assert said.endswith("Remove one of the packages that provide them.")
