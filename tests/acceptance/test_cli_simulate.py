"""`workflows simulate`: a process that shows what schedules would do, with no server in reach."""

import json
from pathlib import Path
from typing import Any

import pytest

from local.cli.errors import Exit
from tests.support.command_line import CommandLine
from tests.support.stack import log_action

NOWHERE = "http://127.0.0.1:1"
SINCE = ("--from", "2026-03-28T12:00:00Z")


@pytest.fixture
def workflows() -> CommandLine:
    return CommandLine(NOWHERE, {"TZ": "UTC"})


def _definition(workflow_id: str, **trigger: Any) -> dict[str, Any]:
    return {"workflowId": workflow_id, "trigger": trigger, "actions": [log_action("hi")]}


NIGHTLY = _definition("n", type="cron", schedule="30 2 * * *", timezone="Europe/Berlin")
OFTEN = _definition("p", type="periodic", interval="10s")


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "two.json"
    path.write_text(json.dumps([NIGHTLY, OFTEN]))
    return str(path)


async def test_it_shows_fires_skips_warnings_and_where_the_load_is(
    workflows: CommandLine, file: str
) -> None:
    shown = await workflows("simulate", file, *SINCE, "--for", "1d", "--takes", "15s")
    assert shown.lines[0] == (
        "From 2026-03-28 12:00:00 to 2026-03-29 12:00:00, executions taking 15s: "
        "4321 fires, at most 2 executions at once."
    )
    rows = {line.split()[0]: line.split()[1:] for line in shown.lines if line}
    assert (rows["n"], rows["p"]) == (["1", "-"], ["4320", "4320", "overlap"])
    assert "n/trigger/schedule: 02:30 does not exist in Europe/Berlin on 2026-03-29;" in shown.out
    assert "2026-03-28 12:00:20  p         skipped: overlap" in shown.out
    assert "… and 8621 more: 1 of n, 8620 of p; --json lists the first 10,000." in shown.out
    assert rows["01"][:2] == ["181", "█" * 40]
    assert "Busiest minutes of the day (UTC): 01:00 (4), " in shown.out
    assert len(shown.lines) < 70


async def test_it_tells_what_a_clock_gap_swallows(workflows: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_text(json.dumps({**NIGHTLY, "trigger": {**NIGHTLY["trigger"], "onGap": "skip"}}))
    shown = await workflows("simulate", str(path), *SINCE, "--for", "2d")
    rows = {line.split()[0]: line.split()[1:] for line in shown.lines if line}
    assert rows["n"] == ["1", "1", "gap"]
    assert "2026-03-29 00:59:59.999  n         skipped: gap\n" in shown.out
    assert "2026-03-30 00:30:00      n         fired" in shown.out


async def test_it_shows_no_more_of_the_day_than_there_was(
    workflows: CommandLine, file: str
) -> None:
    shown = await workflows("simulate", file, "--from", "2026-03-28T23:30:00Z", "--for", "90m")
    hours = shown.lines[shown.lines.index("Fires by the hour of the day (UTC):") + 1 : -1]
    assert [line.split()[:2] for line in hours] == [["00", "360"], ["01", "2"], ["23", "179"]]


async def test_it_names_the_triggers_of_a_workflow_that_has_several(
    workflows: CommandLine, tmp_path: Path
) -> None:
    path = tmp_path / "one.json"
    several = [{"id": "often", **OFTEN["trigger"]}, {"id": "nightly", **NIGHTLY["trigger"]}]
    actions = [log_action("hi")]
    path.write_text(json.dumps({"workflowId": "w", "triggers": several, "actions": actions}))
    shown = await workflows("simulate", str(path), *SINCE, "--for", "1d")
    assert "HERE                 WORKFLOW  TRIGGER  OUTCOME" in shown.lines
    assert "2026-03-28 12:00:10  w         often    fired" in shown.out
    assert "… and 8621 more: 8620 of w/often, 1 of w/nightly; --json lists the" in shown.out
    brief = await workflows("simulate", str(path), *SINCE, "--for", "1m", "--json")
    assert brief.json["occurrences"][0]["trigger"] == "often"


@pytest.mark.parametrize(
    ("overlap", "said", "columns", "occurrences"),
    [
        (
            "cancel-running",
            "4 fires, 3 of them cancelled for a newer one, at most 1 execution at once",
            ["WORKFLOW  FIRES  SKIPPED  CANCELLED", "p         4      -        3"],
            [
                "12:00:05  p         fired, cancelled at 2026-03-28 12:00:10",
                "12:00:10  p         fired, cancelled at 2026-03-28 12:00:15",
                "12:00:15  p         fired, cancelled at 2026-03-28 12:00:20",
                "12:00:20  p         fired",
            ],
        ),
        (
            "buffer-one",
            "2 fires, 1 of them buffered first, 1 buffered to the end, at most 1 execution at once",
            [
                "WORKFLOW  FIRES  SKIPPED    BUFFERED  STILL WAITING",
                "p         2      1 overlap  1         1",
            ],
            [
                "12:00:05  p         fired",
                "12:00:10  p         buffered until 2026-03-28 12:00:17",
                "12:00:15  p         skipped: overlap",
                "12:00:20  p         buffered, and still waits at the end",
            ],
        ),
    ],
)
async def test_it_tells_what_is_cancelled_and_what_waits(
    workflows: CommandLine,
    tmp_path: Path,
    overlap: str,
    said: str,
    columns: list[str],
    occurrences: list[str],
) -> None:
    path = tmp_path / "one.json"
    trigger = {**OFTEN["trigger"], "interval": "5s"}
    path.write_text(json.dumps({**OFTEN, "trigger": trigger, "overlap": overlap}))
    shown = await workflows("simulate", str(path), *SINCE, "--for", "20s", "--takes", "12s")
    assert shown.lines[0].endswith(f"executions taking 12s: {said}.")
    assert [line.rstrip() for line in shown.lines[2:4]] == columns
    assert [line.rstrip() for line in shown.lines[6:10]] == [
        f"2026-03-28 {line}" for line in occurrences
    ]


async def test_machines_get_all_of_it_as_json(workflows: CommandLine, file: str) -> None:
    shown = await workflows("simulate", file, *SINCE, "--for", "36h", "--json")
    assert (shown.json["since"], shown.json["until"]) == (
        "2026-03-28T12:00:00.000Z",
        "2026-03-30T00:00:00.000Z",
    )
    assert [(w["workflowId"], w["fires"]) for w in shown.json["workflows"]] == [
        ("n", 1),
        ("p", 12_960),
    ]
    assert {"minute": "01:00", "fires": 7} in shown.json["load"]


async def test_a_definition_that_is_wrong_is_named(workflows: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps([NIGHTLY, {**OFTEN, "trigger": {"type": "periodic"}}]))
    shown = await workflows("simulate", str(path), code=Exit.INVALID)
    assert shown.err.splitlines() == [
        f"error: {path}[1]: Invalid input",
        "  /trigger/interval: is required",
    ]
    assert shown.out == ""


@pytest.mark.parametrize(
    ("option", "value"),
    [("--for", "week"), ("--for", "0s"), ("--for", "9999d"), ("--takes", "-1s"), ("--from", "now")],
)
async def test_an_option_that_is_wrong_is_named(
    workflows: CommandLine, file: str, option: str, value: str
) -> None:
    shown = await workflows("simulate", file, f"{option}={value}", code=Exit.USAGE)
    assert shown.err.startswith(f"error: {option} ")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("1w", "is '1w'; expected a whole number and a unit ms, s, m, h or d, such as '500ms'."),
        ("3650d", "is '3650d'; the longest allowed is 365 days ('365d')."),
    ],
)
async def test_a_length_that_cannot_be_is_quoted_as_it_was_given(
    workflows: CommandLine, file: str, given: str, said: str
) -> None:
    shown = await workflows("simulate", file, "--for", given, code=Exit.USAGE)
    assert shown.err.strip() == f"error: --for {said}"
