"""What the command line prints of workflows and their instants, in tables and sentences."""

from typing import Any

import pytest
from aiohttp import web

from tests.support.command_line import CommandLine
from tests.support.recording_api import ANSWER, RecordingApi

AT = "2031-01-02T03:04:05.678Z"
LATER = "2031-01-02T03:05:00.000Z"
RECORD = {
    "at": LATER,
    "count": 1,
    "trigger": "hourly",
    "outcome": "fired",
    "status": "completed",
    "latenessMs": 1_289_029_500,
    "executionId": "x",
}


@pytest.fixture
def workflows(api: RecordingApi) -> CommandLine:
    return CommandLine(api.url, {"TZ": "UTC"})


def answer(api: RecordingApi, **members: Any) -> None:
    api.answers.append(web.json_response({**ANSWER, **members}))


def cells(line: str) -> list[str]:
    return line.split()


async def test_an_instant_of_the_ledger_has_its_milliseconds_and_a_long_wait_is_readable(
    api: RecordingApi, workflows: CommandLine
) -> None:
    answer(api, items=[{**RECORD, "at": AT, "to": LATER, "count": 3}, RECORD])
    heading, first, second = (await workflows("occurrences", "hello")).lines
    assert cells(heading) == ["INSTANT", "OUTCOME", "STATUS", "LATE", "EXECUTION"]
    assert first.startswith("2031-01-02 03:04:05.678 to 2031-01-02 03:05:00 (3)  fired  ")
    assert second.startswith("2031-01-02 03:05:00  ")
    assert second.rstrip().endswith("  14d 22h  x")


async def test_occurrences_of_several_triggers_name_theirs(
    api: RecordingApi, workflows: CommandLine
) -> None:
    answer(api, items=[RECORD, {**RECORD, "trigger": "month-end"}])
    heading, first, second = (await workflows("occurrences", "hello")).lines
    assert cells(heading)[:3] == ["INSTANT", "TRIGGER", "OUTCOME"]
    assert [cells(line)[2] for line in (first, second)] == ["hourly", "month-end"]


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["hourly", "nightly"], "2 triggers: hourly, nightly"),
        (["hourly", "nightly", "yearly"], "3 triggers: hourly, nightly, …"),
    ],
)
async def test_several_triggers_are_counted_in_lists_and_the_first_are_named(
    api: RecordingApi, workflows: CommandLine, names: list[str], shown: str
) -> None:
    several = [{"id": name, "type": "cron", "schedule": "@hourly"} for name in names]
    answer(api, items=[{**ANSWER, "triggers": several}])
    (_, row) = (await workflows("list")).lines
    assert f" {shown}  idle " in row


async def test_a_hint_that_there_is_more_is_no_part_of_the_list(
    api: RecordingApi, workflows: CommandLine
) -> None:
    answer(api, items=[RECORD, RECORD])
    shown = await workflows("occurrences", "hello", "--limit", "1")
    assert len(shown.lines) == 2
    assert shown.err == ("These are the first 1. There are more: --limit says how many to show.\n")


async def test_a_workflow_is_shown_with_what_was_given_beyond_its_trigger(
    api: RecordingApi, workflows: CommandLine
) -> None:
    trigger = {
        "type": "cron",
        "schedule": "@daily",
        "catchUp": "all",
        "catchUpWindow": "1h",
        "exclude": ["2031-01-01"],
        "jitter": "30s",
        "maxRuns": 5,
        "runs": 2,
        "status": "idle",
    }
    own = {"overlap": "buffer-all", "maxBuffered": 20, "maxConcurrent": 2, "pauseOnFailure": 3}
    answer(api, trigger=trigger, **own)
    shown = await workflows("get", "hello")
    assert (
        '  options     catchUp all, catchUpWindow 1h, exclude ["2031-01-01"], jitter 30s, '
        "maxRuns 5, runs 2, overlap buffer-all, maxConcurrent 2, maxBuffered 20, pauseOnFailure 3"
    ) in shown.lines


async def test_of_several_triggers_each_has_what_was_given_for_it(
    api: RecordingApi, workflows: CommandLine
) -> None:
    several = [
        {"id": "often", "type": "periodic", "interval": "10s", "jitter": "4s"},
        {"id": "launch", "type": "once", "at": LATER, "nextRunAt": LATER},
    ]
    answer(api, trigger={"type": "several", "status": "idle"}, triggers=several)
    shown = await workflows("get", "hello")
    assert "    often: periodic 10s (jitter 4s), next run -" in shown.lines
    assert "    launch: once 2031-01-02 03:05:00, next run 2031-01-02 03:05:00" in shown.lines
    assert not [line for line in shown.lines if "options" in line]


@pytest.mark.parametrize(
    ("existing", "before", "left", "said"),
    [
        ("none", {}, 0, "2 wait for their turn."),
        (
            "none",
            {},
            3,
            "2 wait for their turn; 3 left out, as something ran for them already.",
        ),
        (
            "failed",
            {"lastStatus": "failed"},
            1,
            (
                "2 wait for their turn, 1 of them to be run again; "
                "1 left out, as what ran for them did not fail, or is not done."
            ),
        ),
        (
            "all",
            {"lastStatus": "completed"},
            0,
            "2 wait for their turn, 1 of them to be run again.",
        ),
        (
            "all",
            {"lastStatus": "completed"},
            1,
            (
                "2 wait for their turn, 1 of them to be run again; "
                "1 left out, as what runs for them is not done."
            ),
        ),
    ],
)
async def test_a_backfill_says_what_it_runs_again_and_why_it_leaves_something_out(
    api: RecordingApi,
    workflows: CommandLine,
    existing: str,
    before: dict[str, str],
    left: int,
    said: str,
) -> None:
    span = ("--from", AT, "--to", LATER, "--existing", existing)
    items = [{"at": AT, "executionId": "x"}, {"at": AT, "executionId": "y", **before}]
    answer(api, items=items, left=left)
    assert (await workflows("backfill", "hello", *span)).lines[-1] == said
    answer(api, items=items, left=left)
    would = await workflows("backfill", "hello", *span, "--dry-run")
    assert would.lines[-1] == said.replace("wait", "would wait")


PAUSED = {"since": "2031-01-02T03:00:00.000Z", "reason": "moving"}
PERIODIC = {"type": "periodic", "interval": "10s", "status": "idle"}


@pytest.mark.parametrize(
    ("reason", "members", "said"),
    [
        ("moving", {"trigger": PERIODIC}, ["hello  paused since 2031-01-02 03:00:00: moving"]),
        (
            "new",
            {"trigger": PERIODIC},
            [
                "hello  was paused already, since 2031-01-02 03:00:00: moving",
                "It stays as it is: 'new' is not kept.",
            ],
        ),
        (
            "moving",
            {"trigger": {"type": "manual", "status": "idle"}},
            [
                "hello  paused since 2031-01-02 03:00:00: moving",
                "It has no schedule to halt: it runs only when it is triggered by hand.",
            ],
        ),
    ],
)
async def test_a_pause_that_changes_nothing_says_so(
    api: RecordingApi,
    workflows: CommandLine,
    reason: str,
    members: dict[str, Any],
    said: list[str],
) -> None:
    answer(api, enabled=False, paused=PAUSED, **members)
    assert (await workflows("pause", "hello", "--reason", reason)).lines == said


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ({"nextRunAt": LATER}, "next run 2031-01-02 03:05:00"),
        ({"nextRunAt": "2026-01-01T00:00:00.000Z"}, "due now"),
        ({}, "next run -"),
    ],
)
async def test_what_is_resumed_behind_its_instant_is_due_now(
    api: RecordingApi, workflows: CommandLine, at: dict[str, str], said: str
) -> None:
    answer(api, updatedAt="2026-06-01T00:00:00.000Z", trigger={**PERIODIC, **at})
    assert (await workflows("resume", "hello")).lines == [f"hello  {said}"]


async def test_an_execution_is_listed_with_the_instant_it_was_due_at(
    api: RecordingApi, workflows: CommandLine
) -> None:
    queued_ahead = {**ANSWER, "createdAt": "2031-01-02T03:04:59.000Z", "scheduledFor": LATER}
    by_hand = {**ANSWER, "createdAt": AT}
    answer(api, items=[queued_ahead, by_hand])
    heading, *rows = (await workflows("executions")).lines
    assert cells(heading) == ["DUE", "WORKFLOW", "STATUS", "LATE", "EXECUTION"]
    assert [row[:19] for row in rows] == ["2031-01-02 03:05:00", "2031-01-02 03:04:05"]
