"""What is said of instants behind the end of a trigger: after its last run, or its `endAt`."""

from typing import Any, Final

import pytest

from shared.domain.execution import SkipReason
from shared.domain.instants import format_instant
from shared.ports.workflows import Advance
from tests.support.builders import TENANT
from tests.unit.desk import log
from tests.unit.test_why_occurrence import HOURLY, Book, at

CRON: Final = {"type": "cron", "schedule": "0 * * * *"}
KINDS: Final = pytest.mark.parametrize("trigger", [HOURLY, CRON], ids=["periodic", "cron"])
NEVER_MORE: Final = "It does not fire any more: its trigger has had its"


class Ending(Book):
    """The book of a workflow whose trigger comes to its end."""

    async def go_on(self, hours: int) -> None:
        """Fire each of so many hours from now on, as a scheduler does."""
        for _ in range(hours):
            due = await self.due()
            at_ = due.next_run_at
            await self.fire((at_ - at(0)) / (at(1) - at(0)))
            self.executions._holders.clear()
            following = due.timetable.next_place(at_) if due.runs_left != 1 else None
            move = Advance(TENANT, "hello", due.version, at_, following, fires=1)
            await self.workflows.advance([move])


@pytest.fixture
async def book() -> Ending:
    return Ending()


@KINDS
async def test_what_comes_after_the_last_run_is_told_as_such(
    book: Ending, trigger: dict[str, Any]
) -> None:
    await book.define_as({**trigger, "maxRuns": 3})
    await book.go_on(3)
    await book.pass_time(1.5)
    said = f"{NEVER_MORE} 3 runs, the last for 2026-01-01T03:00:00.000Z."
    assert [await book.said(hour) for hour in (4, 100)] == [said, said]
    assert (await book.said(3)).startswith("It fired")


@KINDS
async def test_of_a_last_run_that_is_not_kept_any_more_no_instant_is_told(
    book: Ending, trigger: dict[str, Any]
) -> None:
    await book.define_as({**trigger, "maxRuns": 1})
    await book.go_on(1)
    book.executions._by_id.clear()
    await book.clock.advance(book.timing.retention)
    hours = book.timing.retention / (at(1) - at(0))
    assert await book.said(hours + 5) == f"{NEVER_MORE} 1 run."
    assert await book.said(hours) == f"{NEVER_MORE} 1 run."
    assert (await book.said(1)).startswith("It is older than what is kept")


async def test_what_should_be_on_record_before_the_last_run_is_still_told_as_missing(
    book: Ending,
) -> None:
    await book.define_as({**CRON, "maxRuns": 3})
    await book.go_on(3)
    (second,) = (e for e in book.executions.stored() if e.scheduled_for == at(2))
    book.executions._by_id.pop(second.id)
    assert "which should not be" in await book.said(2)


async def test_what_comes_after_the_runs_that_are_left_is_told(book: Ending) -> None:
    await book.define_as({**CRON, "maxRuns": 3})
    await book.go_on(1)
    assert await book.said(3) == "It is still to come."
    assert await book.said(4) == (
        "It will not fire if those before it do: its trigger has 2 of its 3 runs left."
    )
    await book.define.pause(TENANT, "hello", "moving house")
    assert "has been paused since" in await book.said(3)


@KINDS
async def test_what_lies_behind_the_end_of_a_trigger_names_it(
    book: Ending, trigger: dict[str, Any]
) -> None:
    await book.define_as({**trigger, "endAt": format_instant(at(2.5))})
    await book.go_on(2)
    for hours in (3, 2.75):
        assert await book.said(hours) == (
            f"There is no occurrence at {format_instant(at(hours))}: its trigger fires until "
            "2026-01-01T02:30:00.000Z (endAt). The nearest is 2026-01-01T02:00:00.000Z before it."
        )
    assert "endAt" not in await book.said(1.5)


async def test_jitter_may_move_the_last_instant_behind_the_end(book: Ending) -> None:
    await book.define_as({**CRON, "jitter": "1h", "endAt": format_instant(at(2))})
    delay = (await book.due()).next_run_at - at(0)
    assert delay
    last = at(2) + delay
    said = [(await book.ask(format_instant(last + n * delay / 2))).sentence for n in (-1, 0, 1)]
    assert said[1] == "It is still to come."
    assert "endAt" not in said[0]
    assert "fires until 2026-01-01T02:00:00.000Z (endAt)" in said[2]


async def test_the_end_is_told_only_where_all_triggers_have_come_to_it(book: Ending) -> None:
    ends = {**CRON, "id": "ends", "endAt": format_instant(at(2.5))}
    goes_on = {**CRON, "id": "goes-on"}
    document: dict[str, Any] = {
        "workflowId": "hello",
        "triggers": [ends, goes_on],
        "actions": [log("a")],
    }
    await book.define.create(TENANT, document)
    assert "endAt" not in await book.said(3.5)


async def test_a_record_is_told_also_if_it_is_of_the_end(book: Ending) -> None:
    await book.define_as({**CRON, "maxRuns": 3})
    await book.go_on(2)
    await book.skip(SkipReason.MISSED, 3, 4, 5)
    assert (await book.said(4)).startswith("It did not run (missed)")
