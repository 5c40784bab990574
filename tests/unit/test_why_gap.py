"""What is said, and listed, of the local times that a clock gap swallowed."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from prometheus_client import CollectorRegistry

from scheduler_svc.metrics import SchedulerMetrics
from scheduler_svc.use_cases.fire import FireDueWorkflows
from scheduler_svc.use_cases.halt import HaltFailing
from shared.adapters.memory.ledger import MemoryLedger
from shared.contracts.occurrences import occurrence_view
from shared.domain.backfill import instants_of
from shared.domain.execution import Execution
from shared.domain.instants import format_instant
from shared.domain.why import why
from tests.support.builders import NOW, TENANT
from tests.unit.desk import log
from tests.unit.doubles import FlakyBus, promoting
from tests.unit.test_why_occurrence import BERLIN, Book

JUMP: Final = datetime(2026, 3, 29, 1, tzinfo=UTC)
MINUTE: Final = timedelta(minutes=1)
GONE: Final = "did not exist in Europe/Berlin on 2026-03-29, as clocks went from 02:00 to 03:00"
JUMPED: Final = "4 local times of its schedule that the clocks jumped over."
QUARTERS: Final = {"schedule": "*/15 * * * *"}


class Night(Book):
    """The book of a workflow that is defined half an hour before the clocks jump."""

    async def begin(self, **trigger: Any) -> None:
        await self.clock.advance(JUMP - 30 * MINUTE - NOW)
        await self.define_as({**BERLIN, "onGap": "skip", **trigger})

    async def look(self, until: datetime) -> None:
        """Let time pass, and a scheduler catch up with everything."""
        await self.clock.advance(until - self.clock.now())
        metrics, bus = SchedulerMetrics(CollectorRegistry()), FlakyBus(self.clock)
        halt = HaltFailing(self.workflows, MemoryLedger(self.executions), metrics)
        promote = promoting(self.workflows, self.executions, bus, self.clock)
        fire = FireDueWorkflows(
            self.workflows, self.executions, bus, self.clock, self.timing, metrics, halt, promote
        )
        await fire(await self.workflows.due(self.clock.now(), None, 10))

    async def sentence(self, text: str) -> str:
        return (await self.ask(text)).sentence

    def gap(self) -> Execution:
        (record,) = (e for e in self.executions.stored() if e.skip and e.skip.reason == "gap")
        return record


@pytest.fixture
def night() -> Night:
    return Night()


@pytest.mark.parametrize("asked", ["2026-03-29T02:30", "2026-03-29T01:30:00Z", "its own instant"])
@pytest.mark.parametrize("jitter", [{}, {"jitter": "1h"}], ids=["plain", "jitter"])
async def test_what_a_gap_swallowed_is_found_by_its_time_and_by_its_record(
    night: Night, asked: str, jitter: dict[str, Any]
) -> None:
    await night.begin(**jitter)
    await night.look(JUMP + 90 * MINUTE)
    record = night.gap()
    assert record.scheduled_for is not None
    own = format_instant(record.scheduled_for)
    account = await night.ask(own if asked == "its own instant" else asked)
    assert account.sentence == f"It did not run (gap): 02:30 {GONE}."
    assert account.record is not None
    assert account.record.id == record.id


async def test_of_several_that_a_gap_swallowed_the_one_that_is_asked_for_is_told(
    night: Night,
) -> None:
    await night.begin(**QUARTERS)
    await night.look(JUMP + 5 * MINUTE)
    assert await night.sentence("2026-03-29 02:15") == (
        f"It did not run (gap): 02:15 {GONE}. It is one of {JUMPED}"
    )
    assert await night.sentence("2026-03-29T00:59:59.999Z") == (
        f"It did not run (gap): 02:00 to 02:45 {GONE}. These are {JUMPED}"
    )
    assert "did not exist" not in await night.sentence("2026-03-29T02:20")


async def test_an_instant_is_not_taken_for_the_time_that_was_swallowed_then(night: Night) -> None:
    await night.begin(**QUARTERS)
    await night.look(JUMP + 5 * MINUTE)
    assert await night.sentence("2026-03-29T01:15:00Z") == "It is still to come."
    assert (await night.sentence("2026-03-29T01:00:00Z")).startswith("It fired")
    assert (await night.sentence("2026-03-29T03:00")).startswith("It fired")


async def test_before_it_is_on_record_the_gap_is_told_by_the_timetable(night: Night) -> None:
    await night.begin()
    sentence = await night.sentence("2026-03-29T02:30")
    assert f"02:30 {GONE}; it does not fire then (onGap: skip)." in sentence


async def test_a_gap_of_a_trigger_that_was_edited_since_is_told_in_general(night: Night) -> None:
    await night.begin()
    await night.look(JUMP)
    other = {"type": "periodic", "interval": "1h", "id": "cron"}
    document: dict[str, Any] = {"workflowId": "hello", "trigger": other, "actions": [log("a")]}
    await night.define.replace(TENANT, "hello", document, None)
    assert await night.sentence("2026-03-29T00:59:59.999Z") == (
        "It did not run (gap): the clocks were set forward over it."
    )


async def test_the_ledger_lists_a_gap_as_one_item(night: Night) -> None:
    await night.begin(**QUARTERS)
    await night.look(JUMP + 5 * MINUTE)
    shown = occurrence_view(night.gap()).model_dump(mode="json", by_alias=True, exclude_none=True)
    assert shown == {
        "at": "2026-03-29T00:59:59.999Z",
        "count": 4,
        "trigger": "cron",
        "outcome": "skipped",
        "reason": "gap",
        "executionId": "default:hello:cron:2026-03-29T00:59:59.999Z:0",
        "status": "skipped",
    }


async def test_the_record_itself_says_why_it_did_not_run(night: Night) -> None:
    await night.begin()
    await night.look(JUMP)
    said = why(None, night.gap(), NOW).sentence
    assert said == "It did not run (gap): the clocks were set forward over it."


async def test_a_backfill_runs_nothing_for_a_gap(night: Night) -> None:
    await night.begin(**QUARTERS)
    await night.look(JUMP + 5 * MINUTE)
    workflow = await night.define.get(TENANT, "hello")
    span = (JUMP - 15 * MINUTE, JUMP + 1 * MINUTE)
    found = [at for at, _ in instants_of(workflow, *span, lasts={})]
    assert found == [JUMP - 15 * MINUTE, JUMP]
