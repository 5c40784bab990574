"""Asking for the instants to come, at the edges of time and of what can be read."""

from datetime import timedelta
from http import HTTPStatus
from time import process_time
from types import SimpleNamespace
from typing import Any, Final

import httpx
import pytest
from prometheus_client import CollectorRegistry

from shared.adapters.cel.language import CelLanguage
from shared.adapters.json_schema.validator import JsonSchemaValidator
from shared.adapters.memory.clock import ManualClock
from shared.adapters.memory.executions import MemoryExecutions
from shared.adapters.memory.workflows import MemoryWorkflows
from shared.domain.execution import Status
from shared.domain.identity import DEFAULT_TENANT, place_key
from shared.domain.instants import parse_instant
from shared.domain.outcomes import Timing
from shared.runtime.health import Health
from tests.support.builders import CATALOGUE, queued, running
from workflows_svc.app import create_app
from workflows_svc.use_cases.definitions import DefineWorkflows
from workflows_svc.use_cases.preview import PreviewSchedules
from workflows_svc.use_cases.queries import Queries

Json = dict[str, Any]
CREATED: Final = parse_instant("2026-02-28T12:00:10Z")
SINCE: Final = timedelta(hours=24, seconds=-10)
ENOUGH: Final = 5.0
"""Seconds of computing that no slow machine needs."""


class Api:
    """The API over workflows in memory."""

    def __init__(self) -> None:
        self.clock = ManualClock(CREATED)
        self.executions, workflows = MemoryExecutions(), MemoryWorkflows()
        self.define = DefineWorkflows(
            workflows,
            self.executions,
            CATALOGUE,
            JsonSchemaValidator(),
            self.clock,
            Timing(),
            lambda _: None,
            CelLanguage(),
        )
        app = create_app(Health(), CollectorRegistry(), CATALOGUE, 10_000)
        app.state.services = SimpleNamespace(
            preview=PreviewSchedules(self.define, self.clock, Queries(workflows, self.executions))
        )
        transport = httpx.ASGITransport(app)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://api")

    async def create(self, overlap: str = "skip", **trigger: Any) -> None:
        """Define the workflow `w`, and let a day pass until noon of the first of March."""
        log = {"type": "log", "message": "hi"}
        document: Json = {"workflowId": "w", "trigger": trigger, "actions": [log]}
        document["overlap"] = overlap
        await self.define.create(DEFAULT_TENANT, document)
        await self.clock.advance(SINCE)

    async def preview(self, **asked: Any) -> httpx.Response:
        """Ask for instants."""
        return await self.client.get("/workflows/w/preview", params=asked)

    async def past(self, *seconds: float) -> None:
        """Let executions of the schedule have taken so long."""
        now = self.clock.now()
        past = [
            running(
                str(number),
                "w",
                status=Status.COMPLETED,
                active_key=None,
                scheduled_for=now,
                started_at=now,
                finished_at=now + timedelta(seconds=length),
            )
            for number, length in enumerate(seconds)
        ]
        await self.executions.add(past)

    async def expectations(self, **asked: Any) -> tuple[Json, list[Json]]:
        """Return what is assumed, and what is expected of the instants, but not their times."""
        answer = await self.preview(**asked)
        assert answer.status_code == HTTPStatus.OK, answer.text
        told = answer.json()
        shared = {"at", "local"}
        items = [{k: v for k, v in item.items() if k not in shared} for item in told["items"]]
        return told["assumed"], items

    async def instants(self, **asked: Any) -> list[str]:
        """Return the instants there are."""
        answer = await self.preview(**asked)
        assert answer.status_code == HTTPStatus.OK, answer.text
        return [item["at"].removesuffix(":00.000Z") for item in answer.json()["items"]]


@pytest.fixture
def api() -> Api:
    return Api()


async def test_the_instants_after_one_to_come_are_listed(api: Api) -> None:
    await api.create(type="cron", schedule="@hourly")
    assert await api.instants(count=2) == ["2026-03-01T13:00", "2026-03-01T14:00"]
    later = await api.instants(**{"from": "2026-03-02T01:00:00+01:00", "count": 1})
    assert later == ["2026-03-02T01:00"]


async def test_instants_are_listed_as_often_and_as_late_as_the_trigger_fires(api: Api) -> None:
    await api.create(type="cron", schedule="@hourly", jitter="10m", maxRuns=2)
    answer = await api.preview()
    shown = [(item["at"], item["local"]) for item in answer.json()["items"]]
    assert shown == [
        ("2026-03-01T12:02:20.532Z", "2026-03-01T12:02:20.532+00:00"),
        ("2026-03-01T13:02:20.532Z", "2026-03-01T13:02:20.532+00:00"),
    ]


@pytest.mark.parametrize(
    ("since", "said"),
    [
        ("9999-12-31T23:59:00Z", "expected a year from 1970 to 2999"),
        ("0001-01-01T00:00:00+14:00", "expected a year from 1970 to 2999"),
        ("3000-01-01T00:00:00Z", "expected a year from 1970 to 2999"),
        ("1800000000", "expected a date and a time with its offset from UTC"),
        ("2026-03-02T01:00:00", "expected a date and a time with its offset from UTC"),
        ("2026-02-30T01:00:00Z", "which is no instant"),
    ],
)
async def test_what_is_no_instant_is_refused_with_its_place(
    api: Api, since: str, said: str
) -> None:
    await api.create(type="cron", schedule="@hourly")
    answer = await api.preview(**{"from": since})
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    (error,) = answer.json()["errors"]
    assert error["pointer"] == "query/from"
    assert error["detail"].startswith(f"is '{since}'")
    assert said in error["detail"]


@pytest.mark.parametrize(
    "trigger",
    [
        {"type": "cron", "schedule": "@hourly"},
        {"type": "cron", "schedule": "30 2 * 3 0L", "timezone": "Europe/Berlin", "onGap": "skip"},
        {"type": "cron", "schedule": "* * * * *", "timezone": "Pacific/Kiritimati"},
        {"type": "periodic", "interval": "8760h"},
        {"type": "periodic", "interval": "8760h", "phase": "1h"},
        {"type": "periodic", "interval": "1s", "startAt": "2999-12-31T23:59:59-14:00"},
    ],
)
async def test_time_ends_with_the_year_2999(api: Api, trigger: Json) -> None:
    await api.create(**trigger)
    assert await api.instants(**{"from": "2999-12-31T23:59:59Z", "count": 1000}) == []
    assert await api.instants(**{"from": "2999-12-31T23:59:59-14:00"}) == []


async def test_the_rarest_of_days_are_found_until_the_end_of_time(api: Api) -> None:
    schedule = [f"{minute} 0 29 2 */{7 + minute}" for minute in range(10)]
    await api.create(type="cron", schedule=schedule)
    began = process_time()
    found = await api.instants(count=1000)
    assert (found[0], found[-1]) == ("2032-02-29T00:00", "2984-02-29T00:09")
    assert process_time() - began < ENOUGH


@pytest.mark.parametrize(
    ("trigger", "following"),
    [
        ({"type": "periodic", "interval": "50s"}, ["2026-03-01T12:00:10.000Z", "2026-03-01T12:01"]),
        ({"type": "cron", "schedule": "@daily"}, ["2026-03-02T00:00", "2026-03-03T00:00"]),
        ({"type": "periodic", "interval": "50s", "endAt": "2026-03-01T11:59:59Z"}, []),
        ({"type": "once", "at": "2026-03-01T11:00:00Z"}, []),
    ],
)
async def test_no_instants_before_now_are_listed(
    api: Api, trigger: Json, following: list[str]
) -> None:
    await api.create(**trigger)
    assert await api.instants(**{"from": "1980-01-01T00:00:00Z", "count": 2}) == following


OFTEN: Final[Json] = {"type": "periodic", "interval": "1m", "phase": "0s"}
NOON: Final = "2026-03-01T12:00:00.000Z"
FIRES: Final = {"expected": "fires"}
OVERLAP: Final = {"expected": "skipped", "reason": "overlap"}


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        ("skip", [FIRES, OVERLAP, FIRES]),
        ("allow", [FIRES, FIRES, FIRES]),
        (
            "buffer-all",
            [
                FIRES,
                {"expected": "buffered", "startsAt": "2026-03-01T12:02:30.000Z"},
                {"expected": "buffered", "startsAt": "2026-03-01T12:04:00.000Z"},
            ],
        ),
        (
            "cancel-running",
            [
                {"expected": "replaced", "replacedAt": "2026-03-01T12:02:00.000Z"},
                {"expected": "replaced", "replacedAt": "2026-03-01T12:03:00.000Z"},
                {"expected": "replaced", "replacedAt": "2026-03-01T12:04:00.000Z"},
            ],
        ),
    ],
)
async def test_each_instant_says_what_is_expected_if_executions_take_as_long_as_is_given(
    api: Api, overlap: str, expected: list[Json]
) -> None:
    await api.create(overlap, **OFTEN)
    assumed, found = await api.expectations(duration="90s", count=3)
    assert assumed == {"source": "given", "duration": "90s", "reckonedFrom": NOON}
    assert found == expected


async def test_executions_are_assumed_to_take_as_long_as_of_late(api: Api) -> None:
    await api.create(**OFTEN)
    await api.past(1, 100, 90)
    assumed, found = await api.expectations(count=2)
    assert found == [FIRES, OVERLAP]
    assert assumed == {
        "source": "measured",
        "duration": "90s",
        "executions": 3,
        "reckonedFrom": NOON,
    }
    assumed, found = await api.expectations(count=2, duration="60s")
    assert (assumed["source"], found) == ("given", [FIRES, FIRES])


async def test_without_any_execution_every_instant_is_said_to_fire(api: Api) -> None:
    await api.create(**OFTEN)
    await api.executions.add([running("0", "w")])
    assert await api.expectations(count=2) == ({"source": "unknown"}, [FIRES, FIRES])


async def test_what_runs_and_what_waits_now_comes_first(api: Api) -> None:
    await api.create("buffer-one", **OFTEN)
    began = api.clock.now() - timedelta(seconds=10)
    holder = running("0", "w", started_at=began)
    place = place_key(holder.active_key or "", 0)
    waiting = queued("1", "w", status=Status.BUFFERED, active_key=None, buffer_key=place)
    await api.executions.add([holder, waiting])
    _, found = await api.expectations(count=3, duration="2m")
    assert found == [
        OVERLAP,
        {"expected": "buffered", "startsAt": "2026-03-01T12:03:50.000Z"},
        OVERLAP,
    ]


async def test_what_is_skipped_is_no_run_of_those_that_are_limited(api: Api) -> None:
    await api.create(**OFTEN, maxRuns=2)
    assert len(await api.instants()) == 2
    assert (await api.expectations(duration="90s"))[1] == [FIRES, OVERLAP, FIRES]


async def test_several_triggers_are_in_each_others_way(api: Api) -> None:
    rare = {"id": "rare", **OFTEN, "interval": "2m"}
    log = {"type": "log", "message": "hi"}
    document: Json = {
        "workflowId": "w",
        "triggers": [{"id": "often", **OFTEN}, rare],
        "actions": [log],
    }
    await api.define.create(DEFAULT_TENANT, document)
    await api.clock.advance(SINCE)
    _, found = await api.expectations(duration="30s", count=3)
    assert found == [
        {"trigger": "often", **FIRES},
        {"trigger": "often", **FIRES},
        {"trigger": "rare", **OVERLAP},
    ]


@pytest.mark.parametrize(
    ("duration", "said"),
    [
        ("0s", "must be longer than 0"),
        ("-5s", "is '-5s'; expected a whole number and a unit"),
        ("90", "is '90'; expected a whole number and a unit"),
        ("1.5h", "is '1.5h'; expected a whole number and a unit"),
        ("", "is ''; expected a whole number and a unit"),
        ("8761h", "is '8761h'; the longest allowed is 365 days"),
        ("9" * 400 + "s", "expected a whole number and a unit"),
    ],
)
async def test_what_is_no_duration_is_refused_with_its_place(
    api: Api, duration: str, said: str
) -> None:
    await api.create(**OFTEN)
    answer = await api.preview(duration=duration)
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert answer.headers["content-type"] == "application/problem+json"
    (error,) = answer.json()["errors"]
    assert error["pointer"] == "query/duration"
    assert said in error["detail"]


async def test_the_longest_of_waits_can_be_told(api: Api) -> None:
    await api.create("buffer-all", **OFTEN)
    _, found = await api.expectations(count=1000, duration="8760h")
    assert found[100] == {"expected": "buffered", "startsAt": "2126-02-05T12:01:00.000Z"}
    assert found[101:] == [OVERLAP] * 899
