"""The night in which clocks are set forward leaves one record of what it swallowed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog

from shared.contracts.api import workflow_view
from shared.domain.due import due_workflows, move_behind
from shared.domain.execution import Execution, Skip, SkipReason
from shared.domain.jitter import delay_of
from shared.domain.schedule_warnings import schedule_warnings
from shared.domain.workflow import Workflow
from shared.ports.workflows import Advance
from tests.support.builders import SECOND, TENANT, workflow
from tests.unit.doubles import counted
from tests.unit.schedulers import House, ticking
from tests.unit.test_ledger_edges import DAY, HOUR, api, cron, document, end_all, pass_time, stored

MS = timedelta(milliseconds=1)
QUARTER = HOUR / 4
JUMP = datetime(2026, 3, 29, 1, tzinfo=UTC)
EVE = JUMP - MS
EVENING = JUMP - 7 * HOUR
NIGHTLY = cron("30 2 * * *", "Europe/Berlin", onGap="skip")
QUARTERS = {**NIGHTLY, "schedule": "*/15 * * * *"}
BEFORE, AFTER = JUMP - 23.5 * HOUR, JUMP + 23.5 * HOUR
"""The fires of the nightly trigger on either side of the gap."""

Told = tuple[datetime, str, int]


def told(records: list[Execution]) -> list[Told]:
    """Return from when, as what and for how many each record stands, in order."""
    return sorted(
        (e.scheduled_for, e.skip.reason.value if e.skip else "fired", e.skip.count if e.skip else 1)
        for e in records
        if e.scheduled_for
    )


GAP: Told = (EVE, "gap", 1)


@pytest.fixture
async def house() -> House:
    """Return a house in the evening of the 27th."""
    made = House()
    await made.clock.advance(EVENING - DAY - made.clock.now())
    return made


async def until(house: House, instant: datetime) -> None:
    await house.clock.advance(instant - house.clock.now())


async def look(house: House, at: datetime) -> None:
    """Let a scheduler look in at an instant, and what it starts come to its end."""
    await until(house, at)
    async with ticking(house.ticker()):
        await house.wait(0)
        await end_all(house)
        await house.wait(5)
        await end_all(house)


@pytest.mark.parametrize("lead", [timedelta(), SECOND])
async def test_a_daily_time_that_a_gap_swallows_is_on_record_between_its_fires(
    house: House, lead: timedelta
) -> None:
    await api(house).create(TENANT, document(NIGHTLY))
    with structlog.testing.capture_logs() as logs:
        async with ticking(house.ticker("a", poll=HOUR, lead=lead)):
            await pass_time(house, HOUR, 60)
    assert told(house.occurrences()) == [(BEFORE, "fired", 1), GAP, (AFTER, "fired", 1)]
    (record,) = (e for e in house.occurrences() if e.skip)
    assert record.id == "default:hello:cron:2026-03-29T00:59:59.999Z:0"
    assert record.skip == Skip(SkipReason.GAP, EVE, EVE, 1)
    assert EVE - lead <= record.created_at <= EVE
    swallowed = counted(
        house.registries["a"], "occurrences_skipped_total", reason=SkipReason.GAP.value
    )
    assert swallowed == 1
    words = [(one["event"], one["log_level"]) for one in logs if "occurrence" in one["event"]]
    assert words == [("occurrence.swallowed", "info")]


async def test_several_times_that_one_gap_swallows_are_one_record(house: House) -> None:
    await until(house, JUMP - QUARTER - SECOND)
    await api(house).create(TENANT, document(QUARTERS))
    async with ticking(house.ticker(poll=HOUR)):
        await pass_time(house, QUARTER, 3)
    assert told(house.occurrences()) == [
        (JUMP - QUARTER, "fired", 1),
        (EVE, "gap", 4),
        (JUMP, "fired", 1),
        (JUMP + QUARTER, "fired", 1),
    ]


async def test_a_gap_of_half_an_hour(house: House) -> None:
    jump = datetime(2026, 10, 3, 15, 30, tzinfo=UTC)
    await until(house, jump - HOUR)
    island = cron("15 2 * * *", "Australia/Lord_Howe", onGap="skip")
    await api(house).create(TENANT, document(island))
    async with ticking(house.ticker(poll=HOUR)):
        await pass_time(house, HOUR, 26)
    assert told(house.occurrences()) == [
        (jump - MS, "gap", 1),
        (jump + DAY - QUARTER, "fired", 1),
    ]


async def test_a_trigger_that_is_spread_has_its_gap_as_much_later(house: House) -> None:
    await api(house).create(TENANT, document({**NIGHTLY, "jitter": "3h"}))
    (trigger,) = (await stored(house)).definition.all_triggers.values()
    by = delay_of(trigger, TENANT, "hello", "cron")
    assert by > timedelta()
    async with ticking(house.ticker(poll=HOUR)):
        await pass_time(house, HOUR, 63)
    assert told(house.occurrences()) == [
        (BEFORE + by, "fired", 1),
        (EVE + by, "gap", 1),
        (AFTER + by, "fired", 1),
    ]


async def test_a_downtime_over_a_gap(house: House) -> None:
    await until(house, JUMP - HOUR - SECOND)
    await api(house).create(TENANT, document(QUARTERS))
    await look(house, JUMP + HOUR)
    assert told(house.occurrences()) == [
        (JUMP - HOUR, "missed", 4),
        (EVE, "gap", 4),
        (JUMP, "missed", 4),
        (JUMP + HOUR, "fired", 1),
    ]


@pytest.mark.parametrize("end", ["resume", "disable", "enable"])
async def test_a_pause_over_a_gap(house: House, end: str) -> None:
    await until(house, JUMP - HOUR - SECOND)
    define = api(house)
    await define.create(TENANT, document(QUARTERS))
    await define.pause(TENANT, "hello", "moving house")
    await until(house, JUMP + HOUR)
    if end == "resume":
        await define.resume(TENANT, "hello")
    else:
        await define.set_enabled(TENANT, "hello", enabled=end == "enable", if_match=None)
    last = 5 if end == "disable" else 4
    assert told(house.occurrences()) == [
        (JUMP - HOUR, "paused", 4),
        (EVE, "gap", 4),
        (JUMP, "paused", last),
    ]
    pauses = {e.skip.reason: e.skip.paused for e in house.occurrences() if e.skip}
    assert (pauses[SkipReason.GAP], pauses[SkipReason.PAUSED] is None) == (None, False)
    await look(house, JUMP + HOUR)
    fired = [] if end == "disable" else [(JUMP + HOUR, "fired", 1)]
    assert told(house.occurrences())[3:] == fired


async def test_being_disabled_over_a_gap(house: House) -> None:
    define = api(house)
    await define.create(TENANT, document(NIGHTLY))
    await define.set_enabled(TENANT, "hello", enabled=False, if_match=None)
    await until(house, AFTER + SECOND)
    enabled = await define.set_enabled(TENANT, "hello", enabled=True, if_match=None)
    assert enabled.next_run_at == AFTER + DAY
    assert told(house.occurrences()) == [(BEFORE, "disabled", 1), GAP, (AFTER, "disabled", 1)]


async def test_being_disabled_over_nothing_but_a_gap(house: House) -> None:
    await until(house, EVENING)
    define = api(house)
    await define.create(TENANT, document(NIGHTLY))
    await define.set_enabled(TENANT, "hello", enabled=False, if_match=None)
    await until(house, JUMP)
    enabled = await define.set_enabled(TENANT, "hello", enabled=True, if_match=None)
    assert (enabled.next_run_at, told(house.occurrences())) == (AFTER, [GAP])


async def test_an_edit_after_a_gap_that_nobody_was_there_for(house: House) -> None:
    await until(house, JUMP - HOUR / 2)
    define = api(house)
    await define.create(TENANT, document(QUARTERS))
    await until(house, JUMP + 1.25 * HOUR - SECOND)
    edited = await define.replace(TENANT, "hello", document(NIGHTLY), None)
    assert told(house.occurrences()) == [
        (JUMP - QUARTER, "superseded", 1),
        (EVE, "gap", 4),
        (JUMP, "superseded", 5),
    ]
    assert edited.next_run_at == AFTER


async def test_an_edit_stops_where_the_last_fire_that_is_allowed_is_on_record(
    house: House,
) -> None:
    await until(house, JUMP - HOUR / 2)
    define = api(house)
    await define.create(TENANT, document({**QUARTERS, "maxRuns": 1}))
    before = await stored(house)
    await look(house, JUMP - QUARTER)
    house.workflows._by_key[before.key] = before
    await until(house, JUMP + HOUR)
    await define.replace(TENANT, "hello", document(NIGHTLY), None)
    assert told(house.occurrences()) == [(JUMP - QUARTER, "fired", 1)]


async def test_an_edit_of_something_else_keeps_the_place_before_a_gap(house: House) -> None:
    await until(house, EVENING)
    define = api(house)
    await define.create(TENANT, document(NIGHTLY))
    edited = await define.replace(TENANT, "hello", document(NIGHTLY, "other"), None)
    assert (edited.next_run_at, edited.version) == (EVE, 2)
    await look(house, JUMP)
    assert told(house.occurrences()) == [GAP]


async def test_a_gap_uses_up_none_of_the_runs(house: House) -> None:
    await until(house, EVENING)
    await api(house).create(TENANT, document({**NIGHTLY, "maxRuns": 1}))
    async with ticking(house.ticker(poll=HOUR)):
        await pass_time(house, HOUR, 60)
    assert told(house.occurrences()) == [GAP, (AFTER, "fired", 1)]
    assert dict((await stored(house)).runs) == {"cron": 1}


async def test_after_the_last_run_no_gap_is_recorded(house: House) -> None:
    await api(house).create(TENANT, document({**NIGHTLY, "maxRuns": 1}))
    async with ticking(house.ticker(poll=HOUR)):
        await pass_time(house, HOUR, 60)
    assert told(house.occurrences()) == [(BEFORE, "fired", 1)]


async def test_next_valid_leaves_no_gap_on_record(house: House) -> None:
    await api(house).create(TENANT, document({**NIGHTLY, "onGap": "next-valid"}))
    async with ticking(house.ticker(poll=HOUR)):
        await pass_time(house, HOUR, 60)
    fires = [(BEFORE, "fired", 1), (JUMP, "fired", 1), (AFTER, "fired", 1)]
    assert told(house.occurrences()) == fires


async def test_each_of_several_triggers_has_its_own_gap(house: House) -> None:
    await until(house, JUMP - HOUR / 4 - SECOND)
    several: dict[str, Any] = {
        **document({}),
        "triggers": [{"id": "n", **NIGHTLY}, {"id": "q", **QUARTERS}],
    }
    del several["trigger"]
    await api(house).create(TENANT, several)
    async with ticking(house.ticker(poll=HOUR)):
        await pass_time(house, QUARTER, 2)
    gaps = {e.trigger_id: e.skip.count for e in house.occurrences() if e.skip}
    assert gaps == {"n": 1, "q": 4}


def test_a_workflow_behind_a_longer_record_goes_on_at_the_gap_after_it() -> None:
    created = workflow(trigger=NIGHTLY, now=BEFORE - HOUR)
    (due,) = due_workflows(created)
    assert move_behind(created, due, BEFORE).next_runs == {"cron": EVE}
    assert move_behind(created, due, EVE).next_runs == {"cron": AFTER}


def shown(seen: Workflow) -> str | None:
    view = workflow_view(seen, [])
    found: str | None = view.model_dump(mode="json", by_alias=True)["trigger"].get("nextRunAt")
    return found


def test_what_is_shown_as_the_next_run_is_the_fire_behind_a_gap() -> None:
    created = workflow(trigger=NIGHTLY, now=EVENING)
    assert created.next_run_at == EVE
    assert shown(created) == "2026-03-30T00:30:00.000Z"
    several = workflow(
        triggers=[{"id": "n", **NIGHTLY}, {"id": "d", **NIGHTLY, "schedule": "0 3 * * *"}],
        now=EVENING,
    )
    view = workflow_view(several, []).model_dump(mode="json", by_alias=True)
    assert view["trigger"]["nextRunAt"] == "2026-03-29T01:00:00.000Z"
    assert [one["nextRunAt"] for one in view["triggers"]] == [
        "2026-03-30T00:30:00.000Z",
        "2026-03-29T01:00:00.000Z",
    ]


async def test_a_trigger_with_nothing_but_a_gap_to_come_is_over(house: House) -> None:
    ending = {**NIGHTLY, "endAt": "2026-03-29T12:00:00Z"}
    last = workflow(trigger=ending, now=EVENING)
    assert shown(last) is None
    (warning,) = schedule_warnings(last, EVENING)
    assert "has no instant to come" in warning.message
    await until(house, EVENING)
    await api(house).create(TENANT, document(ending))
    await look(house, JUMP + DAY)
    assert told(house.occurrences()) == [GAP]
    assert dict((await stored(house)).next_runs) == {}


async def test_a_place_that_an_earlier_release_stored_fires_as_it_would_have(house: House) -> None:
    """It knew of no places of gaps: what is swallowed before the next one is not on record."""
    await until(house, EVENING)
    await api(house).create(TENANT, document(NIGHTLY))
    await house.workflows.advance([Advance(TENANT, "hello", 1, EVE, AFTER)])
    async with ticking(house.ticker(poll=HOUR)):
        await pass_time(house, HOUR, 48)
    assert told(house.occurrences()) == [(AFTER, "fired", 1)]
