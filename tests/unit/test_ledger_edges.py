"""Edge cases of the calendar and of operation: every occurrence has exactly one outcome."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.adapters.cel.language import CelLanguage
from shared.adapters.json_schema.validator import JsonSchemaValidator
from shared.adapters.memory.clock import ManualClock
from shared.domain import transitions
from shared.domain.execution import Execution, SkipReason, Status
from shared.domain.outcomes import Timing
from shared.domain.workflow import Workflow
from shared.ports.executions import Change
from shared.ports.workflows import Advance, Upcoming
from tests.support.builders import CATALOGUE, NOW, SECOND, TENANT, lease, workflow
from tests.unit.doubles import firing
from tests.unit.schedulers import House, ticking
from workflows_svc.use_cases.definitions import DefineWorkflows

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
Json = dict[str, Any]


@pytest.fixture
def house() -> House:
    return House()


def api(house: House) -> DefineWorkflows:
    return DefineWorkflows(
        house.workflows,
        house.executions,
        CATALOGUE,
        JsonSchemaValidator(),
        house.clock,
        Timing(),
        lambda _: None,
        CelLanguage(),
    )


def document(trigger: Json, message: str = "hi") -> Json:
    action = {"type": "log", "message": message}
    return {"workflowId": "hello", "trigger": trigger, "actions": [action]}


def cron(schedule: str, timezone: str = "UTC", **more: str) -> Json:
    return {"type": "cron", "schedule": schedule, "timezone": timezone, **more}


async def stored(house: House) -> Workflow:
    found = await house.workflows.get(TENANT, "hello")
    assert found is not None
    return found


async def end_all(house: House) -> None:
    """Complete what is queued, as runners do."""
    now = house.clock.now()
    waiting = [e.id for e in house.occurrences() if e.status is Status.QUEUED]
    won = (await house.executions.claim(waiting, lease(until=now + HOUR), now)).won
    ended = [Change(e, transitions.complete(e, now, Timing().retention)) for e in won]
    await house.executions.record(ended)


async def pass_time(house: House, step: timedelta, steps: int) -> None:
    for _ in range(steps):
        await house.wait(step.total_seconds())
        await end_all(house)


def records_of(execution: Execution, instants: Iterable[datetime]) -> list[datetime]:
    """Return those of the instants that a record speaks of."""
    first = last = execution.scheduled_for
    if execution.skip:
        first, last = execution.skip.first, execution.skip.last
    return [at for at in instants if first is not None and last is not None and first <= at <= last]


def check_each_has_one_outcome(house: House, instants: list[datetime]) -> None:
    spoken_of = sorted(at for e in house.occurrences() for at in records_of(e, instants))
    assert spoken_of == sorted(instants)


def fired(house: House) -> list[datetime]:
    return sorted(e.scheduled_for for e in house.occurrences() if e.scheduled_for and not e.skip)


@pytest.mark.parametrize(
    ("schedule", "days", "expected"),
    [
        ("0 0 31 * *", 160, [(2026, 1, 31), (2026, 3, 31), (2026, 5, 31)]),
        ("0 0 29 2 *", 365 * 7, [(2028, 2, 29), (2032, 2, 29)]),
        ("0 0 1 1 *", 366, [(2027, 1, 1)]),
        ("0 0 L * *", 90, [(2026, 1, 31), (2026, 2, 28), (2026, 3, 31)]),
    ],
)
async def test_days_that_few_months_or_years_have(
    house: House, schedule: str, days: int, expected: list[tuple[int, int, int]]
) -> None:
    await api(house).create(TENANT, document(cron(schedule)))
    async with ticking(house.ticker(poll=5 * DAY)):
        await pass_time(house, 5 * DAY, days // 5)
    assert fired(house) == [datetime(*day, tzinfo=UTC) for day in expected]
    assert len(house.occurrences()) == len(expected)


async def test_a_minute_on_either_side_of_the_new_year(house: House) -> None:
    await api(house).create(TENANT, document(cron("0,59 0,23 1,31 1,12 *")))
    await house.clock.advance(datetime(2026, 12, 31, 23, tzinfo=UTC) - NOW - timedelta(seconds=1))
    async with ticking(house.ticker(poll=HOUR)):
        await house.wait(0)
        before = len(fired(house))
        await end_all(house)
        await pass_time(house, timedelta(minutes=1), 62)
    turn = datetime(2027, 1, 1, tzinfo=UTC)
    expected = [turn - HOUR, turn - timedelta(minutes=1), turn]
    assert fired(house)[before:] == expected


async def test_a_zone_that_sets_its_clocks_back_and_forth_by_another_calendar(
    house: House,
) -> None:
    """Morocco leaves UTC+1 for the month of Ramadan: in 2026 on 15 February, until 22 March."""
    trigger = cron("30 2 * * *", "Africa/Casablanca", onGap="skip", onFold="second")
    await api(house).create(TENANT, document(trigger))
    async with ticking(house.ticker(poll=DAY)):
        await pass_time(house, DAY / 2, 200)
    winter = [datetime(2026, 1, 1, 1, 30, tzinfo=UTC) + day * DAY for day in range(45)]
    ramadan = [datetime(2026, 2, 15, 2, 30, tzinfo=UTC) + day * DAY for day in range(35)]
    summer = [datetime(2026, 3, 23, 1, 30, tzinfo=UTC) + day * DAY for day in range(30)]
    instants = [at for at in winter + ramadan + summer if at <= house.clock.now()]
    assert fired(house) == instants
    check_each_has_one_outcome(house, instants)


async def test_an_instant_that_was_stored_by_older_rules_of_its_zone_still_fires_once(
    house: House,
) -> None:
    await api(house).create(TENANT, document(cron("30 2 * * *", "Europe/Berlin")))
    right = (await stored(house)).next_run_at
    assert right is not None
    by_older_rules = right + HOUR
    await house.workflows.advance([Advance(TENANT, "hello", 1, right, by_older_rules)])
    async with ticking(house.ticker(poll=HOUR)):
        await pass_time(house, HOUR, 60)
    assert fired(house) == [by_older_rules, right + DAY, right + 2 * DAY]


@pytest.mark.parametrize("step", [-HOUR, HOUR])
async def test_a_scheduler_whose_clock_is_stepped_fires_nothing_twice_and_skips_nothing_silently(
    house: House, step: timedelta
) -> None:
    await house.workflows.add(workflow(interval="600s"))
    stepped = ManualClock(NOW + step)
    right = house.ticker("right").fire
    wrong = firing(house.workflows, house.executions, house.bus, stepped)
    for _ in range(30):
        for clock in (house.clock, stepped):
            await clock.advance(300 * SECOND)
        for fire in (wrong, right):
            due = (await stored(house)).next_run_at
            assert due is not None
            await fire([Upcoming(TENANT, "hello", due)])
            await end_all(house)
    last = max(house.clock.now(), stepped.now())
    count = int((last - NOW) / (600 * SECOND))
    check_each_has_one_outcome(house, [NOW + n * 600 * SECOND for n in range(1, count + 1)])


@pytest.mark.parametrize("lead", [timedelta(), SECOND, 3 * SECOND])
async def test_an_interval_shorter_than_the_poll(house: House, lead: timedelta) -> None:
    await house.add("hello", interval="1s")
    async with ticking(house.ticker(poll=10 * SECOND, lead=lead)):
        await pass_time(house, SECOND, 35)
    instants = [NOW + n * SECOND for n in range(1, 36)]
    check_each_has_one_outcome(house, instants)
    assert fired(house) == instants


async def test_a_hundred_toggles_in_a_row(house: House) -> None:
    define = api(house)
    await define.create(TENANT, document({"type": "periodic", "interval": "7s"}))
    async with ticking(house.ticker(lead=SECOND)):
        for number in range(100):
            await define.set_enabled(TENANT, "hello", enabled=number % 2 == 1, if_match=None)
            await pass_time(house, (number % 5) * SECOND, 1)
    assert (await stored(house)).enabled
    count = int((house.clock.now() - NOW) / (7 * SECOND))
    check_each_has_one_outcome(house, [NOW + n * 7 * SECOND for n in range(1, count + 1)])
    reasons = {e.skip.reason for e in house.occurrences() if e.skip}
    assert reasons == {SkipReason.DISABLED}


async def test_an_edit_while_an_occurrence_is_in_flight_leaves_it_its_version(
    house: House,
) -> None:
    define = api(house)
    await define.create(TENANT, document({"type": "periodic", "interval": "10s"}))
    async with ticking(house.ticker(lead=SECOND)):
        await house.wait(9.5)
        edited = document({"type": "periodic", "interval": "10s"}, "other")
        await define.replace(TENANT, "hello", edited, None)
        await pass_time(house, 0.5 * SECOND, 1)
        await pass_time(house, 10 * SECOND, 1)
    found = sorted((e.scheduled_for, e.version) for e in house.occurrences() if e.scheduled_for)
    assert found == [(NOW + 10 * SECOND, 1), (NOW + 20 * SECOND, 2)]


async def test_an_edit_of_the_trigger_while_an_occurrence_is_in_flight_starts_anew_behind_it(
    house: House,
) -> None:
    define = api(house)
    await define.create(TENANT, document({"type": "periodic", "interval": "10s"}))
    async with ticking(house.ticker(lead=SECOND)):
        await house.wait(9.5)
        await define.replace(
            TENANT, "hello", document({"type": "periodic", "interval": "20s"}), None
        )
        await pass_time(house, SECOND, 35)
    assert fired(house) == [NOW + 10 * SECOND, NOW + 29.5 * SECOND]
