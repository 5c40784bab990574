"""`workflows apply`: what it stores, and how it names the file that is wrong."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from local.cli.errors import CommandError, Exit
from local.cli.workflows import apply_file
from tests.support.command_line import CommandLine
from tests.support.recording_api import RecordingApi, problem
from tests.support.stack import Stack, log_action, manual

pytestmark = pytest.mark.one_broker


@pytest.fixture
def workflows(stack: Stack) -> CommandLine:
    return CommandLine(stack.workflows.url or "")


@pytest.fixture
def name(unique: str) -> str:
    """The id of a workflow that no other test has."""
    return f"cli-{unique}"


def write(path: Path, document: Any) -> str:
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(path)


async def test_apply_creates_then_leaves_alone_then_updates(
    workflows: CommandLine, name: str, tmp_path: Path
) -> None:
    first = write(tmp_path / "first.json", manual(f"{name}-1"))
    second = write(tmp_path / "second.json", manual(f"{name}-2"))
    created = await workflows("apply", "-f", first, "-f", second)
    assert created.lines == [
        f"{name}-1  created  (version 1)",
        f"{name}-2  created  (version 1)",
    ]
    write(tmp_path / "second.json", manual(f"{name}-2", log_action("other")))
    again = await workflows("apply", "-f", first, "-f", second, "--json")
    assert again.json == [
        {"workflowId": f"{name}-1", "change": "unchanged", "version": 1},
        {"workflowId": f"{name}-2", "change": "updated", "version": 2},
    ]
    assert (await workflows("get", f"{name}-2", "--json")).json["version"] == 2


async def test_apply_takes_a_folder_a_list_and_standard_input(
    workflows: CommandLine, name: str, tmp_path: Path
) -> None:
    for number in (2, 1):
        write(tmp_path / f"{number}.json", manual(f"{name}-{number}"))
    write(tmp_path / "notes.txt", "no definition")
    folder = await workflows("apply", "-f", str(tmp_path), "--json")
    assert [r["workflowId"] for r in folder.json] == [f"{name}-1", f"{name}-2"]
    several = json.dumps([manual(f"{name}-1"), manual(f"{name}-3")])
    given = await workflows("apply", "-f", "-", "--json", given=several)
    assert [r["change"] for r in given.json] == ["unchanged", "created"]


async def test_apply_names_every_wrong_field_and_stores_nothing(
    workflows: CommandLine, name: str, tmp_path: Path
) -> None:
    bad = manual(name, {"type": "teleport"}, colour="red")
    refused = await workflows("apply", "-f", write(tmp_path / "bad.json", bad), code=Exit.INVALID)
    assert refused.out == ""
    headline, *fields = refused.err.splitlines()
    assert headline == f"error: {tmp_path / 'bad.json'}: Invalid input"
    assert [field.split(": ")[0] for field in fields] == ["  /actions/0/type", "  /colour"]
    unknown = await workflows("get", name, code=Exit.NOT_FOUND)
    assert name in unknown.err


@pytest.mark.parametrize("content", ['{"workflowId": ', "", "\ud800", None])
async def test_apply_names_the_file_that_it_cannot_read(
    workflows: CommandLine, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "broken.json"
    if content is not None:
        path.write_bytes(content.encode(errors="surrogatepass"))
    refused = await workflows("apply", "-f", str(path), code=Exit.INVALID)
    assert refused.err.startswith(f"error: {path}: ")
    assert refused.out == ""


async def test_apply_names_the_place_in_a_list(
    workflows: CommandLine, name: str, tmp_path: Path
) -> None:
    several = [manual(name), manual(f"{name}-2", colour="red")]
    path = write(tmp_path / "list.json", several)
    refused = await workflows("apply", "-f", path, code=Exit.INVALID)
    assert refused.err.startswith(f"error: {path}[1]: Invalid input\n  /colour: ")
    given = json.dumps([*several, 5])
    refused = await workflows("apply", "-f", "-", code=Exit.INVALID, given=given)
    assert refused.err.startswith("error: (standard input)[1]: Invalid input\n")


async def test_apply_stops_at_a_refusal_and_tells_what_it_did_before(
    workflows: CommandLine, name: str, tmp_path: Path
) -> None:
    good, bad, later = (tmp_path / f"{word}.json" for word in ("good", "bad", "later"))
    write(good, [manual(f"{name}-1"), manual(f"{name}-2")])
    write(bad, manual(f"{name}-3", colour="red"))
    write(later, manual(f"{name}-4"))
    files = [word for path in (good, bad, later) for word in ("-f", str(path))]
    stopped = await workflows("apply", *files, code=Exit.INVALID)
    assert stopped.lines == [f"{name}-{n}  created  (version 1)" for n in (1, 2)]
    assert stopped.err.startswith(f"error: {bad}: Invalid input\n")
    await workflows("get", f"{name}-4", code=Exit.NOT_FOUND)
    stopped = await workflows("apply", *files, "--json", code=Exit.INVALID)
    assert json.loads(stopped.out) == [
        {"workflowId": f"{name}-{n}", "change": "unchanged", "version": 1} for n in (1, 2)
    ]
    assert stopped.err.startswith(f"error: {bad}: Invalid input\n")
    first = await workflows("apply", "-f", str(bad), "--json", code=Exit.INVALID)
    assert first.out == "[]\n"


BROKEN = ["{", "", "[1, 2", "[" * 100_000, '{"a": NaN}', '{"a": 1, "a": 2}', "\ud800"]


@pytest.mark.parametrize("content", BROKEN, ids=lambda text: text[:9])
async def test_a_broken_file_stops_everything_before_anything_is_sent(
    api: RecordingApi, tmp_path: Path, content: str
) -> None:
    write(tmp_path / "1.json", manual("good"))
    broken = tmp_path / "2.json"
    broken.write_bytes(content.encode(errors="surrogatepass"))
    refused = await CommandLine(api.url)("apply", "-f", str(tmp_path), code=Exit.INVALID)
    (line,) = refused.err.splitlines()
    assert line.startswith(f"error: {broken}: ")
    assert refused.out == ""
    assert api.calls == []


async def test_apply_keeps_the_order(api: RecordingApi, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    write(folder / "b.json", manual("2"))
    write(folder / "c.json", [manual("3"), manual("4")])
    files = ["-f", write(tmp_path / "z.json", manual("1")), "-f", str(folder)]
    files += ["-f", write(tmp_path / "a.json", manual("5"))]
    await CommandLine(api.url)("apply", *files)
    assert [json.loads(call.body)["workflowId"] for call in api.calls] == list("12345")


async def test_nothing_to_apply_is_an_error(api: RecordingApi, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no definition")
    workflows = CommandLine(api.url)
    nothing = await workflows("apply", "-f", str(tmp_path), code=Exit.INVALID)
    assert nothing.err == f"error: {tmp_path}: This folder has no *.json file.\n"
    empty = write(tmp_path / "empty.json", [])
    nothing = await workflows("apply", "-f", empty, code=Exit.INVALID)
    assert nothing.err == f"error: {empty}: This list is empty.\n"
    absent = tmp_path / "absent"
    nothing = await workflows("apply", "-f", str(absent), code=Exit.INVALID)
    assert nothing.err == f"error: {absent}: No such file or directory\n"
    assert api.calls == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
async def test_files_are_unicode_whatever_the_locale(
    api: RecordingApi, tmp_path: Path, encoding: str
) -> None:
    path = tmp_path / "hello.json"
    document = manual("hello", log_action("Grüße, 世界"))
    path.write_text(json.dumps(document, ensure_ascii=False), encoding=encoding)
    latin = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    await CommandLine(api.url, latin)("apply", "-f", str(path))
    (call,) = api.calls
    assert json.loads(call.body) == document


async def test_what_cannot_be_kept_is_left_to_the_api_to_refuse(
    workflows: CommandLine, name: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "odd.json", manual(name, log_action("\ud800")))
    refused = await workflows("apply", "-f", path, code=Exit.INVALID)
    assert refused.err.startswith(f"error: {path}: ")
    assert "/actions/0" in refused.err


@pytest.mark.parametrize(("status", "code"), [(503, Exit.UNAVAILABLE), (412, Exit.REFUSED)])
async def test_any_refusal_names_the_file(
    api: RecordingApi, tmp_path: Path, status: int, code: Exit
) -> None:
    path = write(tmp_path / "hello.json", manual("hello"))
    api.answers += [problem(409), problem(status, detail="Not now.")]
    refused = await CommandLine(api.url)("apply", "-f", path, code=code)
    assert refused.err == f"error: {path}: Not now.\n"


async def test_a_refusal_within_the_program_says_all_in_one_line(
    api: RecordingApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKFLOWS_API_URL", api.url)
    path = Path(write(tmp_path / "hello.json", manual("hello")))
    applied = await asyncio.to_thread(apply_file, path)
    assert [result["workflowId"] for result in applied] == ["hello"]
    errors = [{"pointer": "/a", "detail": "is odd"}, {"pointer": "/b", "detail": "is even"}]
    api.answers.append(problem(422, "Invalid input", errors=errors))
    with pytest.raises(CommandError) as refusal:
        await asyncio.to_thread(apply_file, tmp_path)
    assert str(refusal.value) == f"{path}: Invalid input (/a: is odd; /b: is even)"
