"""What is said of an instant, whatever became of it."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from shared.adapters.memory.ledger import MemoryLedger
from shared.domain.due import DueWorkflow, due_workflows
from shared.domain.errors import InvalidInput, NotFound
from shared.domain.execution import Execution, Skip, SkipReason, Status
from shared.domain.instants import format_instant, parse_instant
from shared.domain.occurrences import occurrence, overlapped, skipped_occurrence
from shared.domain.question import Account
from tests.support.builders import NOW, SECOND, TENANT
from tests.unit.desk import Desk, broken, log
from workflows_svc.use_cases.ledger import ReadLedger

HOURLY: Final = {"type": "periodic", "interval": "1h"}
HOUR: Final = timedelta(hours=1)
BERLIN: Final = {"type": "cron", "schedule": "30 2 * * *", "timezone": "Europe/Berlin"}


def at(hours: float) -> datetime:
    return NOW + hours * HOUR


class Book(Desk):
    """The desk, and somebody who asks what became of an instant."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = ReadLedger(
            self.define,
            self.workflows,
            self.executions,
            MemoryLedger(self.executions),
            self.clock,
            self.timing,
        )

    async def define_as(self, trigger: dict[str, Any]) -> None:
        await self.create(log("a"), trigger=trigger)

    async def due(self) -> DueWorkflow:
        workflow = await self.workflows.get(TENANT, "hello")
        assert workflow is not None
        (due,) = due_workflows(workflow)
        return due

    async def fire(self, hours: float) -> Execution:
        """Queue the occurrence of an hour, at that hour."""
        await self.clock.advance(at(hours) - self.clock.now())
        fired = occurrence(await self.due(), at(hours), self.clock.now(), self.timing)
        await self.executions.add([fired])
        return fired

    async def skip(self, reason: SkipReason, first: float, last: float, now: float) -> None:
        count = round(last - first) + 1
        skip = Skip(reason, at(first), at(last), count)
        record = skipped_occurrence(await self.due(), skip, at(now), self.timing)
        await self.executions.add([record])

    async def pass_time(self, hours: float) -> None:
        await self.clock.advance(hours * HOUR)

    async def ask(self, text: str) -> Account:
        return (await self.ledger.why(TENANT, "hello", text))[1]

    async def said(self, hours: float) -> str:
        return (await self.ask(format_instant(at(hours)))).sentence


@pytest.fixture
async def book() -> Book:
    return Book()


@pytest.fixture
async def hourly(book: Book) -> Book:
    await book.define_as(HOURLY)
    return book


async def test_what_fired_is_told_with_its_end_and_how_late_it_was(hourly: Book) -> None:
    fired = await hourly.fire(1)
    assert await hourly.said(1) == f"It fired: execution {fired.id} is queued."
    await hourly.clock.advance(2 * SECOND)
    await hourly.claimed(fired.id)
    assert await hourly.said(1) == f"It fired 2000 ms late: execution {fired.id} is running."


@pytest.mark.parametrize(
    ("outcomes", "end"),
    [
        ({}, "completed at 2026-01-01T01:00:00.000Z"),
        ({"a": broken()}, "failed at 2026-01-01T01:00:00.000Z: no, permanent"),
    ],
)
async def test_how_an_execution_ended_is_told(
    hourly: Book, outcomes: dict[str, Any], end: str
) -> None:
    await hourly.pass_time(1)
    fired = await hourly.fire(1)
    await hourly.workflows.add_version(
        TENANT, (await hourly.define.get(TENANT, "hello")).definition, 1
    )
    await hourly.run(fired.id, outcomes)
    assert await hourly.said(1) == f"It fired on time: execution {fired.id} {end}."


async def test_an_overlap_names_the_execution_that_was_not_done(hourly: Book) -> None:
    first = await hourly.fire(1)
    await hourly.pass_time(1)
    second = occurrence(await hourly.due(), at(2), at(2), hourly.timing)
    await hourly.executions.add([overlapped(second, hourly.timing)])
    said = f"execution {first.id} of 2026-01-01T01:00:00.000Z was not done then; it is queued"
    assert await hourly.said(2) == f"It did not run (overlap): {said}."
    await hourly.pass_time(0.5)
    await hourly.cancel(TENANT, first.id)
    account = await hourly.ask(format_instant(at(2)))
    assert account.sentence.endswith("it was cancelled at 2026-01-01T02:30:00.000Z.")
    assert account.record is not None
    assert account.record.status is Status.SKIPPED


async def test_an_overlap_with_what_somebody_triggered_says_so(hourly: Book) -> None:
    by_hand = await hourly.triggered()
    await hourly.pass_time(1)
    met = occurrence(await hourly.due(), at(1), at(1), hourly.timing)
    await hourly.executions.add([overlapped(met, hourly.timing)])
    said = await hourly.said(1)
    assert f"execution {by_hand}, triggered at 2026-01-01T00:00:00.000Z, was not done" in said


async def test_an_overlap_whose_cause_is_no_longer_kept_is_told_in_general(hourly: Book) -> None:
    met = occurrence(await hourly.due(), at(1), at(1), hourly.timing)
    await hourly.executions.add([overlapped(met, hourly.timing)])
    assert "another execution held the workflow" in await hourly.said(1)


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (SkipReason.MISSED, "nothing was there to start it before 2026-01-01T05:00:00.000Z"),
        (SkipReason.DISABLED, "the workflow was disabled when it was due, until 2026-01-01T05:00"),
        (SkipReason.SUPERSEDED, "its trigger was replaced at 2026-01-01T05:00:00.000Z"),
    ],
)
async def test_each_instant_of_a_range_is_told_why_and_what_else_there_was(
    hourly: Book, reason: SkipReason, said: str
) -> None:
    await hourly.skip(reason, 1, 4, 5)
    for hour in (1, 2, 3, 4):
        answer = await hourly.said(hour)
        assert answer.startswith(f"It did not run ({reason}): {said}")
        span = "2026-01-01T01:00:00.000Z to 2026-01-01T04:00:00.000Z"
        assert answer.endswith(f"It is one of 4 instants from {span}.")


async def test_an_instant_within_a_range_that_was_none_is_told_as_such(hourly: Book) -> None:
    await hourly.skip(SkipReason.MISSED, 1, 4, 5)
    account = await hourly.ask("2026-01-01T02:30:00Z")
    near = "2026-01-01T02:00:00.000Z before and 2026-01-01T03:00:00.000Z after it"
    assert account.sentence == (
        f"There is no occurrence at 2026-01-01T02:30:00.000Z. The nearest are {near}."
    )
    assert account.record is None
    assert account.moment is not None
    assert (account.moment.before, account.moment.after) == (at(2), at(3))


async def test_a_pause_is_told_with_its_span_and_its_reason(hourly: Book) -> None:
    await hourly.define.pause(TENANT, "hello", "moving house")
    await hourly.pass_time(2.5)
    held = "has been paused since 2026-01-01T00:00:00.000Z: moving house"
    assert await hourly.said(1) == (
        f"It is due, but the workflow {held}. What becomes of it is decided when it is resumed."
    )
    assert await hourly.said(3) == f"It is still to come, but the workflow {held}."
    await hourly.define.resume(TENANT, "hello")
    span = "from 2026-01-01T00:00:00.000Z until 2026-01-01T02:30:00.000Z"
    assert await hourly.said(1) == (
        f"It did not run (paused): the workflow was paused {span}: moving house."
    )
    assert await hourly.said(2) == "It is due, and no scheduler has dealt with it yet."


async def test_a_backfill_is_told_beside_what_had_not_run(hourly: Book) -> None:
    await hourly.skip(SkipReason.MISSED, 1, 4, 5)
    ran = occurrence(await hourly.due(), at(3), at(6), hourly.timing)
    again = ran.evolve(id=ran.id.removesuffix("0") + "1", active_key=None)
    await hourly.executions.add([again])
    said = await hourly.said(3)
    assert said.startswith("It did not run (missed)")
    assert said.endswith(f"A backfill ran it: execution {again.id} is queued.")


async def test_what_has_not_come_or_is_disabled_or_too_old_is_told(hourly: Book) -> None:
    assert await hourly.said(5) == "It is still to come."
    await hourly.define.set_enabled(TENANT, "hello", enabled=False, if_match=None)
    assert await hourly.said(5) == "It is still to come, but the workflow is disabled."
    await hourly.pass_time(6)
    assert (await hourly.said(5)).startswith("It did not run: the workflow is disabled.")
    await hourly.define.set_enabled(TENANT, "hello", enabled=True, if_match=None)
    assert await hourly.said(-5) == (
        "The workflow was created after that, at 2026-01-01T00:00:00.000Z."
    )
    hourly.executions._by_id.clear()
    assert "was changed since, at 2026-01-01T06:00" in await hourly.said(5)
    await hourly.pass_time(31 * 24)
    assert "older than what is kept (720h)" in await hourly.said(5)


async def test_a_manual_workflow_has_no_occurrences(book: Book) -> None:
    await book.define_as({"type": "manual"})
    assert "runs only when it is triggered by hand" in await book.said(1)
    with pytest.raises(NotFound):
        await book.ledger.why(TENANT, "none", "2026-01-01T00:00:00Z")


async def test_what_is_no_instant_is_refused_with_its_place(hourly: Book) -> None:
    for wrong in ("yesterday", "2026-02-30T01:00", "2026-01-01", "9999-01-01T00:00", "02:00"):
        with pytest.raises(InvalidInput) as refused:
            await hourly.ask(wrong)
        assert refused.value.problems[0].pointer == "path/instant"


async def test_a_local_time_is_told_of_where_it_would_do(hourly: Book) -> None:
    with pytest.raises(InvalidInput) as refused:
        await hourly.ask("2am")
    assert refused.value.problems[0].detail == (
        "is '2am'; expected a date and a time with its offset from UTC, such as "
        "'2026-01-31T02:00:00Z' or '2026-01-31T03:00:00+01:00'; "
        "or a local time of the trigger, such as '2026-01-31T02:00'"
    )


@pytest.mark.parametrize(
    ("on_gap", "asked", "said"),
    [
        ("skip", "2026-03-29T02:30", "it does not fire then (onGap: skip)"),
        ("skip", "2026-03-29 02:30:00", "it does not fire then (onGap: skip)"),
        ("skip", "2026-03-29T02:30:00+01:00", "it does not fire then (onGap: skip)"),
        (
            "next-valid",
            "2026-03-29T02:30",
            "it fires at 2026-03-29T01:00:00.000Z (onGap: next-valid)",
        ),
    ],
)
async def test_a_local_time_that_the_clocks_jumped_over_is_named_as_such(
    book: Book, on_gap: str, asked: str, said: str
) -> None:
    await book.define_as({**BERLIN, "onGap": on_gap})
    sentence = (await book.ask(asked)).sentence
    gap = "02:30 did not exist in Europe/Berlin on 2026-03-29, as clocks went from 02:00 to 03:00"
    assert f"2026-03-29T01:30:00.000Z: {gap}; {said}." in sentence
    other = (await book.ask("2026-03-29T02:31")).sentence
    assert "did not exist" not in other
    assert "did not exist" not in (await book.ask("2026-03-30T03:30")).sentence


@pytest.mark.parametrize(
    ("on_fold", "hour"), [("first", 0), ("second", 1), ("both", 0)], ids=["first", "second", "both"]
)
async def test_a_local_time_that_comes_twice_is_the_one_that_fires(
    book: Book, on_fold: str, hour: int
) -> None:
    await book.define_as({**BERLIN, "onFold": on_fold})
    instant, account = await book.ledger.why(TENANT, "hello", "2026-10-25T02:30")
    assert instant == datetime(2026, 10, 25, hour, 30, tzinfo=UTC)
    assert account.sentence == "It is still to come."


async def test_a_date_that_is_excluded_is_told(book: Book) -> None:
    await book.define_as({**BERLIN, "exclude": ["2026-12-25"]})
    account = await book.ask("2026-12-25T02:30")
    assert "There is no occurrence at 2026-12-25T01:30:00.000Z: its date is excluded." in (
        account.sentence
    )
    assert account.moment is not None
    assert account.moment.before == parse_instant("2026-12-24T01:30:00Z")
    assert account.moment.after == parse_instant("2026-12-26T01:30:00Z")


async def test_a_rare_instant_is_found_as_the_nearest_one_before(book: Book) -> None:
    await book.define_as({"type": "cron", "schedule": "0 0 29 2 *"})
    account = await book.ask("2104-02-28T00:00:00Z")
    assert account.moment is not None
    assert account.moment.before == parse_instant("2096-02-29T00:00:00Z")


async def test_where_a_timetable_ends_only_what_was_before_is_near(book: Book) -> None:
    await book.define_as({"type": "once", "at": "2026-06-01T00:00:00Z"})
    said = (await book.ask("2026-06-02T00:00:00Z")).sentence
    assert said.endswith("The nearest is 2026-06-01T00:00:00.000Z before it.")
    assert (await book.ask("2026-05-02T00:00:00Z")).sentence.endswith("000Z after it.")


async def test_the_instant_of_the_creation_is_none_of_a_periodic_trigger(hourly: Book) -> None:
    await hourly.pass_time(1)
    account = await hourly.ask(format_instant(at(0)))
    assert account.sentence.startswith("There is no occurrence at 2026-01-01T00:00:00.000Z")
    assert account.moment is not None
    assert (account.moment.before, account.moment.after) == (None, at(1))
