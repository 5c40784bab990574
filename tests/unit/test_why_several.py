"""What is said of an instant when several triggers may have it."""

from typing import Any

import pytest

from shared.domain.due import DueWorkflow, due_workflows
from shared.domain.execution import Skip, SkipReason
from shared.domain.instants import format_instant, parse_instant
from shared.domain.occurrences import occurrence, overlapped, skipped_occurrence
from tests.support.builders import NOW, TENANT
from tests.unit.desk import log
from tests.unit.test_why_occurrence import BERLIN, HOUR, Book, at


@pytest.fixture
async def book() -> Book:
    return Book()


async def test_of_several_triggers_each_is_asked(book: Book) -> None:
    half = {"id": "half", "type": "periodic", "interval": "1h", "phase": "30m"}
    nightly = {"id": "nightly", **BERLIN}
    document: dict[str, Any] = {
        "workflowId": "hello",
        "triggers": [half, nightly, {"id": "by-hand", "type": "manual"}],
        "actions": [log("a")],
    }
    await book.define.create(TENANT, document)
    account = await book.ask("2026-01-02 02:30")
    assert account.moment is not None
    assert account.moment.triggers == ("half", "nightly")
    account = await book.ask("2026-01-02 02:40")
    assert account.sentence == (
        "There is no occurrence at 2026-01-02T01:40:00.000Z. The nearest are "
        "2026-01-02T01:30:00.000Z before and 2026-01-02T02:30:00.000Z after it."
    )


async def _define_two(book: Book, **second: Any) -> DueWorkflow:
    """Define two triggers that share the even hours; returns the second."""
    hourly = {"id": "a", "type": "cron", "schedule": "0 * * * *"}
    even = {"id": "b", "type": "cron", "schedule": "0 */2 * * *", **second}
    document: dict[str, Any] = {
        "workflowId": "hello",
        "triggers": [hourly, even],
        "actions": [log("a")],
    }
    await book.define.create(TENANT, document)
    _, due = due_workflows(await book.define.get(TENANT, "hello"))
    return due


async def test_each_trigger_that_has_an_instant_is_told_of(book: Book) -> None:
    second = await _define_two(book)
    await book.pass_time(2)
    fired = occurrence(second, at(2), at(2), book.timing)
    await book.executions.add([fired])
    account = await book.ask(format_instant(at(2)))
    assert account.sentence == (
        "a: It is due, and no scheduler has dealt with it yet. "
        f"b: It fired: execution {fired.id} is queued."
    )
    assert account.record is not None
    assert (account.record.id, account.moment) == (fired.id, None)
    assert await book.said(1) == "It is due, and no scheduler has dealt with it yet."
    assert await book.said(3) == "It is still to come."


async def test_each_trigger_is_told_what_it_met_itself(book: Book) -> None:
    second = await _define_two(book)
    await book.pass_time(2)
    first, _ = due_workflows(await book.define.get(TENANT, "hello"))
    fired = occurrence(first, at(2), at(2), book.timing)
    met = overlapped(occurrence(second, at(2), at(2), book.timing), book.timing)
    await book.executions.add([fired, met])
    said = await book.said(2)
    assert said.startswith(f"a: It fired: execution {fired.id} is queued. b: It did not run")
    assert f"execution {fired.id} of 2026-01-01T02:00:00.000Z was not done then" in said


async def test_of_a_time_that_was_jumped_over_only_the_gap_is_told(book: Book) -> None:
    nightly = {"id": "a", **BERLIN, "onGap": "skip"}
    half = {"id": "b", "type": "periodic", "interval": "1h", "phase": "30m"}
    document: dict[str, Any] = {
        "workflowId": "hello",
        "triggers": [nightly, half],
        "actions": [log("a")],
    }
    await book.define.create(TENANT, document)
    first, _ = due_workflows(await book.define.get(TENANT, "hello"))
    eve = parse_instant("2026-03-29T00:59:59.999Z")
    await book.clock.advance(eve + 2 * HOUR - NOW)
    record = skipped_occurrence(first, Skip(SkipReason.GAP, eve, eve, 1), eve, book.timing)
    await book.executions.add([record])
    told = (await book.ask("2026-03-29T02:30")).sentence
    assert told.startswith("It did not run (gap): 02:30 did not exist")
    assert "due" not in told
    assert "It is due" in (await book.ask("2026-03-29T01:30:00Z")).sentence
