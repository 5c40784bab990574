"""What every OccurrenceLedger promises."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from shared.adapters.memory.executions import MemoryExecutions
from shared.adapters.memory.ledger import MemoryLedger
from shared.adapters.mongo.connection import MongoConnection
from shared.adapters.mongo.executions import MongoExecutions
from shared.adapters.mongo.ledger import MongoLedger
from shared.domain import transitions
from shared.domain.execution import ErrorCategory, Execution, Failure, Skip, SkipReason, Status
from shared.domain.identity import occurrence_id
from shared.domain.ledger import OccurrenceOutcome
from shared.ports.executions import AddOutcome, ExecutionRepository
from shared.ports.ledger import OccurrenceLedger, OccurrenceQuery
from tests.support.builders import NOW, SECOND, TENANT, lease, queued

RETENTION = timedelta(days=36_500)
MINUTE = timedelta(minutes=1)
ALL = OccurrenceQuery(tenant=TENANT, workflow_id="w", since=NOW, until=NOW + 60 * MINUTE)
FIRED, SKIPPED = OccurrenceOutcome.FIRED, OccurrenceOutcome.SKIPPED


@dataclass
class Book:
    """A ledger, and the executions that it reads."""

    executions: ExecutionRepository
    ledger: OccurrenceLedger

    async def add(self, *executions: Execution) -> None:
        assert set(await self.executions.add(executions)) == {AddOutcome.ADDED}

    async def instants(self, query: OccurrenceQuery) -> list[float]:
        """Return the minutes of what is found."""
        found = await self.ledger.find(query)
        return [((e.scheduled_for or NOW) - NOW) / MINUTE for e in found]


@pytest.fixture
def book(storage: MongoConnection | None) -> Book:
    if storage is None:
        executions = MemoryExecutions()
        return Book(executions, MemoryLedger(executions))
    return Book(MongoExecutions(storage.executions), MongoLedger(storage.executions))


def at(minute: float) -> datetime:
    return NOW + minute * MINUTE


def fired(minute: float, workflow_id: str = "w", trigger: str = "cron", run: int = 0) -> Execution:
    """An occurrence that ran; it holds nothing any more."""
    instant = at(minute)
    born = queued(
        workflow_id=workflow_id,
        now=instant,
        id=occurrence_id(TENANT, workflow_id, trigger, instant, run),
        trigger_id=trigger,
        scheduled_for=instant,
    )
    return transitions.cancel(born, instant, RETENTION)


def skipped(first: float, last: float, count: int = 2, trigger: str = "cron") -> Execution:
    reason = Skip(SkipReason.MISSED, at(first), at(last), count)
    return transitions.skip(fired(first, trigger=trigger).evolve(history=()), reason, RETENTION)


async def test_what_is_scheduled_is_listed_by_its_instant_the_latest_first(book: Book) -> None:
    await book.add(fired(1), fired(3), fired(2), fired(60), fired(2, "other"), fired(2, "w2"))
    assert await book.instants(ALL) == [3, 2, 1]
    (record,) = await book.ledger.find(replace(ALL, since=at(1), until=at(2)))
    assert record == replace(fired(1), history=(), actions={}, input=None)
    assert await book.instants(replace(ALL, tenant="other")) == []
    assert await book.instants(replace(ALL, workflow_id="none")) == []


async def test_what_somebody_asked_for_is_no_occurrence(book: Book) -> None:
    await book.add(queued("1", "w", now=at(1)), fired(2))
    assert await book.instants(ALL) == [2]


async def test_occurrences_of_several_triggers_are_listed_together_page_by_page(book: Book) -> None:
    minutes = range(6)
    await book.add(*(fired(n, trigger=f"cron-{n % 2}") for n in minutes))
    await book.add(*(fired(n, trigger="cron") for n in minutes), fired(3, trigger="cron", run=1))
    seen: list[str] = []
    query = replace(ALL, limit=2)
    while page := await book.ledger.find(query):
        assert len(page) <= 2
        seen += [record.id for record in page]
        query = replace(query, after=(page[-1].scheduled_for or NOW, page[-1].id))
    whole = await book.ledger.find(ALL)
    assert seen == [record.id for record in whole]
    assert len(set(seen)) == 13
    minutes_seen = await book.instants(ALL)
    assert minutes_seen == sorted(minutes_seen, reverse=True)


async def test_a_range_is_listed_once_also_if_it_began_before(book: Book) -> None:
    await book.add(skipped(-30, -20), skipped(-10, 5, 16), fired(6), skipped(40, 70, 31))
    assert await book.instants(ALL) == [40, 6, -10]
    assert await book.instants(replace(ALL, since=at(5), until=at(6))) == [-10]
    assert await book.instants(replace(ALL, since=at(5.5), until=at(6))) == []
    last = skipped(-10, 5, 16)
    assert await book.instants(replace(ALL, after=(at(-10), last.id))) == []
    assert await book.instants(replace(ALL, after=(at(6), fired(6).id))) == [-10]


async def test_what_a_clock_gap_swallowed_is_listed_at_its_one_place(book: Book) -> None:
    await book.add(skipped(1, 5, 4), skipped(5.5, 5.5, 60), fired(6))
    assert await book.instants(ALL) == [6, 5.5, 1]
    assert await book.instants(replace(ALL, since=at(5.5), until=at(5.6))) == [5.5]
    assert await book.instants(replace(ALL, since=at(5.6), until=at(6))) == []


async def test_runs_of_a_backfill_do_not_hide_the_range_that_they_make_up_for(book: Book) -> None:
    await book.add(skipped(0, 9, 10), fired(2, run=1), fired(3, run=1))
    assert await book.instants(replace(ALL, since=at(5), until=at(9))) == [0]


async def test_records_are_told_by_their_outcome(book: Book) -> None:
    await book.add(skipped(-5, 1), fired(2), skipped(3, 4), fired(5))
    only = {
        outcome: await book.instants(replace(ALL, outcomes={outcome}))
        for outcome in OccurrenceOutcome
    }
    assert only == {FIRED: [5, 2], SKIPPED: [3, -5], OccurrenceOutcome.BUFFERED: []}
    assert await book.instants(replace(ALL, outcomes={FIRED, SKIPPED})) == [5, 3, 2, -5]


async def test_what_ran_and_ended_is_told_the_latest_first(book: Book) -> None:
    failed = transitions.fail(
        transitions.claim(fired(3).evolve(status=Status.QUEUED), lease(), at(3)),
        Failure(ErrorCategory.PERMANENT, "no"),
        at(4),
        RETENTION,
    )
    await book.add(fired(1), fired(2), failed, skipped(4, 5), queued("m", "w", now=at(6)))
    by_hand = transitions.cancel(queued("n", "w", now=at(7)), at(7), RETENTION)
    await book.add(by_hand, fired(8, "other"))

    async def ended(since: datetime | None, limit: int) -> list[str]:
        return [e.id for e in await book.ledger.ended(TENANT, "w", since, limit)]

    assert await ended(None, 9) == [failed.id, fired(2).id, fired(1).id]
    assert await ended(None, 2) == [failed.id, fired(2).id]
    assert await ended(at(2), 9) == [failed.id, fired(2).id]
    assert await ended(at(3) + SECOND, 9) == []


async def test_runs_of_backfills_are_not_told_among_what_the_schedule_ran(book: Book) -> None:
    await book.add(fired(1), fired(1, run=1), fired(2), fired(2, run=1), fired(2, run=20))
    ended = await book.ledger.ended(TENANT, "w", None, 2)
    assert [e.id for e in ended] == [fired(2).id, fired(1).id]


async def test_the_latest_record_of_a_trigger_is_told_whatever_else_ran(book: Book) -> None:
    await book.add(fired(1), skipped(2, 9, 8), fired(4, run=1), fired(12, run=1))
    await book.add(fired(20, trigger="cron-2"), fired(21, trigger="cro"), fired(22, "other"))
    await book.add(queued("1", "w", now=at(30)), fired(30, trigger="a b"))

    async def latest(trigger: str, tenant: str = TENANT) -> float | None:
        found = await book.ledger.latest(tenant, "w", trigger)
        return ((found.scheduled_for or NOW) - NOW) / MINUTE if found else None

    assert [await latest(each) for each in ("cron", "cron-2", "a b")] == [2, 20, 30]
    assert await latest("cron", "other") is None
    assert await latest("cr") is None
