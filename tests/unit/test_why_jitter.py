"""What is said of the times that the author of a trigger wrote, where its jitter moves them."""

from datetime import datetime
from typing import Any, Final

import pytest

from shared.domain.due import due_workflows
from shared.domain.instants import format_instant
from shared.domain.jitter import delay_of
from shared.domain.occurrences import occurrence
from tests.support.builders import TENANT
from tests.unit.desk import log
from tests.unit.test_why_gap import GONE, JUMP, MINUTE, QUARTERS, Night
from tests.unit.test_why_occurrence import HOUR, HOURLY, Book, at

CRON: Final = {"type": "cron", "schedule": "0 * * * *", "jitter": "10m"}
PHASE: Final = {**HOURLY, "phase": "0s", "jitter": "10m"}


@pytest.fixture
async def book() -> Book:
    return Book()


async def _moved(book: Book, hour: int, name: str) -> datetime:
    """Return when the jitter of a trigger makes it fire for an hour."""
    workflow = await book.define.get(TENANT, "hello")
    trigger = workflow.definition.all_triggers[name]
    delay = delay_of(trigger, TENANT, "hello", name)
    assert delay
    return at(hour) + delay


@pytest.mark.parametrize("trigger", [CRON, PHASE], ids=["cron", "periodic"])
async def test_an_authors_own_time_is_answered_where_its_jitter_moves_it(
    book: Book, trigger: dict[str, Any]
) -> None:
    await book.define_as(trigger)
    moved = await _moved(book, 1, str(trigger["type"]))
    begin = f"Its jitter moves it to {format_instant(moved)}."
    assert await book.said(1) == f"{begin} It is still to come."
    fired = await book.fire((moved - at(0)) / HOUR)
    account = await book.ask(format_instant(at(1)))
    assert account.sentence == f"{begin} It fired: execution {fired.id} is queued."
    assert account.record is not None
    assert account.record.id == fired.id
    assert "jitter" not in await book.said((moved - at(0)) / HOUR)
    assert (await book.said(1.5)).startswith("There is no occurrence")


async def test_of_several_triggers_each_is_told_of_that_names_the_time(book: Book) -> None:
    plain = {"type": "cron", "schedule": "0 * * * *", "id": "plain"}
    document: dict[str, Any] = {
        "workflowId": "hello",
        "triggers": [plain, {**CRON, "id": "a"}, {**CRON, "id": "b"}],
        "actions": [log("a")],
    }
    await book.define.create(TENANT, document)
    moved = {name: format_instant(await _moved(book, 1, name)) for name in ("a", "b")}
    await book.pass_time(1)
    first, *_ = due_workflows(await book.define.get(TENANT, "hello"))
    fired = occurrence(first, at(1), at(1), book.timing)
    await book.executions.add([fired])
    account = await book.ask(format_instant(at(1)))
    assert account.sentence == (
        f"It fired: execution {fired.id} is queued. "
        f"The jitter of 'a' moves it to {moved['a']}. It is still to come. "
        f"The jitter of 'b' moves it to {moved['b']}. It is still to come."
    )
    assert account.record is not None
    assert account.record.id == fired.id


async def test_a_time_behind_a_gap_is_not_taken_for_one_that_it_swallowed() -> None:
    night = Night()
    await night.begin(**QUARTERS, jitter="10m")
    await night.look(JUMP + 40 * MINUTE)
    assert f"02:15 {GONE}" in await night.sentence("2026-03-29T02:15")
    assert (await night.sentence("2026-03-29T03:15")).startswith("Its jitter moves it to")
    assert (await night.sentence("2026-03-29T01:15:00Z")).startswith("Its jitter moves it to")
