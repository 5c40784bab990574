"""`workflows preview`: the instants to come, and what is expected of those that do not fire."""

from typing import Any

import pytest
from aiohttp import web

from tests.support.command_line import CommandLine
from tests.support.recording_api import RecordingApi

AT = "2031-01-02T03:04:05.678Z"
FIRES = {"at": AT, "local": "2031-01-02T03:04:05+00:00", "expected": "fires"}
LATER = "2031-01-02T03:05:00.000Z"
PREVIEW = {"enabled": True, "timezone": "UTC", "assumed": {"source": "given", "duration": "90s"}}


@pytest.fixture
def in_utc(api: RecordingApi) -> CommandLine:
    return CommandLine(api.url, {"TZ": "UTC"})


async def test_a_preview_tells_what_is_expected_only_where_it_is_not_to_fire(
    api: RecordingApi, in_utc: CommandLine
) -> None:
    items = [
        FIRES,
        {**FIRES, "expected": "skipped", "reason": "overlap"},
        {**FIRES, "expected": "buffered", "startsAt": LATER},
        {**FIRES, "expected": "replaced", "replacedAt": LATER},
    ]
    assumed = {"source": "measured", "duration": "2m", "executions": 7}
    api.answers.append(web.json_response({**PREVIEW, "items": items, "assumed": assumed}))
    shown = await in_utc("preview", "hello")
    heading, *rows, said = shown.lines
    assert heading.split() == ["HERE", "IN", "UTC", "EXPECTED"]
    assert [row.partition("+00:00")[2].strip() for row in rows] == [
        "",
        "skipped: overlap",
        "waits until 2031-01-02 03:05:00",
        "cancelled at 2031-01-02 03:05:00",
    ]
    assert said == (
        "EXPECTED is what happens if an execution takes 2m, the median of 7 recent ones."
    )


@pytest.mark.parametrize(
    ("assumed", "said"),
    [
        ({"source": "given", "duration": "90s"}, ["All of them fire if an execution takes 90s."]),
        ({"source": "measured", "duration": "2m", "executions": 7}, []),
        ({"source": "unknown"}, []),
    ],
)
async def test_a_preview_of_what_fires_has_no_column_for_that(
    api: RecordingApi, in_utc: CommandLine, assumed: dict[str, Any], said: list[str]
) -> None:
    api.answers.append(web.json_response({**PREVIEW, "items": [FIRES], "assumed": assumed}))
    shown = await in_utc("preview", "hello", "--duration", "90s")
    assert api.calls[0].query == {"count": "10", "duration": "90s"}
    assert [line.rstrip() for line in shown.lines] == [
        "HERE                     IN UTC",
        "2031-01-02 03:04:05.678  2031-01-02T03:04:05+00:00",
        *said,
    ]


async def test_a_preview_of_nothing_says_so_alone(api: RecordingApi, in_utc: CommandLine) -> None:
    api.answers.append(web.json_response({**PREVIEW, "items": []}))
    shown = await in_utc("preview", "hello")
    assert shown.lines == ["Nothing: 'hello' has no instants to come."]
