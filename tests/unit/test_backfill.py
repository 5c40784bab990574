"""Planning to run what has passed: which instants, under which names."""

from collections.abc import AsyncIterator
from datetime import timedelta
from http import HTTPStatus

import httpx
import pytest

from shared.domain.backfill import Existing
from shared.domain.execution import SkipReason, Status
from shared.domain.fold import fold
from shared.domain.identity import occurrence_id
from shared.domain.instants import format_instant
from shared.domain.occurrences import occurrence
from shared.domain.zones import tzdata_version
from shared.ports.bus import WorkflowFreed
from shared.ports.executions import AddOutcome
from shared.use_cases.admission import Wanted, admit
from shared.use_cases.buffers import ServeBuffer, WorkflowRef
from tests.support.builders import TENANT
from tests.unit.backfills import KEY, Json, Kept, asked, hours, planned, ran, served
from tests.unit.desk import log
from tests.unit.test_why_occurrence import HOURLY, at


@pytest.fixture
async def book() -> Kept:
    return Kept()


@pytest.fixture
async def client(book: Kept) -> AsyncIterator[httpx.AsyncClient]:
    async with served(book) as made:
        yield made


async def test_what_nothing_ran_for_is_run_under_the_first_number(
    book: Kept, client: httpx.AsyncClient
) -> None:
    await book.define_as(HOURLY)
    await ran(book, 1, Status.COMPLETED)
    await book.skip(SkipReason.MISSED, 2, 3, 4)
    await ran(book, 4, Status.FAILED)
    await book.pass_time(2)
    plan = await planned(client)
    assert (hours(plan), plan["left"], plan["dryRun"]) == (["02", "03"], 2, True)
    own = [item["executionId"] for item in plan["items"]]
    assert own == [occurrence_id(TENANT, "hello", "periodic", at(n), 1) for n in (2, 3)]
    assert len(list(book.executions.stored())) == 3


@pytest.mark.parametrize(
    ("existing", "run", "left"),
    [("none", ["03"], 3), ("failed", ["02", "03"], 2), ("all", ["01", "02", "03"], 1)],
)
async def test_what_ran_already_is_run_again_only_if_that_is_asked_for(
    book: Kept, client: httpx.AsyncClient, existing: str, run: list[str], left: int
) -> None:
    await book.define_as(HOURLY)
    await ran(book, 1, Status.COMPLETED)
    await ran(book, 2, Status.FAILED)
    await ran(book, 4, Status.RUNNING)
    await book.pass_time(1)
    plan = await planned(client, existing=existing)
    assert (hours(plan), plan["left"]) == (run, left)


async def test_the_last_run_of_an_instant_counts_and_the_next_has_its_number(
    book: Kept, client: httpx.AsyncClient
) -> None:
    await book.define_as(HOURLY)
    await ran(book, 1, Status.FAILED)
    await ran(book, 1, Status.COMPLETED, run=1)
    await ran(book, 2, Status.COMPLETED)
    last = await ran(book, 2, Status.FAILED, run=10)
    await book.pass_time(3)
    (item,) = (await planned(client, existing="failed", to=format_instant(at(3))))["items"]
    assert (item["lastExecutionId"], item["lastStatus"]) == (last, "failed")
    assert item["executionId"] == occurrence_id(TENANT, "hello", "periodic", at(2), 11)


async def test_a_range_before_the_workflow_was_created_is_reckoned_back(
    book: Kept, client: httpx.AsyncClient
) -> None:
    await book.define_as(HOURLY)
    plan = await planned(client, **{"from": format_instant(at(-3)), "to": format_instant(at(0))})
    assert hours(plan) == ["21", "22", "23"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"to": "2026-01-01T00:00:00Z"}, "/to"),
        ({"to": "2026-01-01T09:00:00Z"}, "/to"),
        ({"from": "2020-01-01T00:00:00Z"}, "/to"),
        ({"from": "yesterday"}, "/from"),
        ({"existing": "some"}, "/existing"),
        ({"dryRun": "no"}, "/dryRun"),
        ({"limit": 3}, "/limit"),
    ],
)
async def test_a_range_that_cannot_be_is_refused_with_its_place(
    book: Kept, client: httpx.AsyncClient, body: Json, pointer: str
) -> None:
    await book.define_as(HOURLY)
    await book.pass_time(6)
    answer = await asked(client, **body)
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_a_thousand_instants_are_planned_and_no_more(
    book: Kept, client: httpx.AsyncClient
) -> None:
    await book.define_as({"type": "periodic", "interval": "1s"})
    await book.pass_time(1)
    end = {"to": "2026-01-01T00:16:41Z"}
    assert len((await planned(client, **{"from": "2026-01-01T00:00:01Z", **end}))["items"]) == 1000
    answer = await asked(client, **{"from": "2026-01-01T00:00:00Z", **end})
    assert "1001 instants" in answer.json()["errors"][0]["detail"]


async def test_a_workflow_without_a_schedule_has_nothing_to_backfill(
    book: Kept, client: httpx.AsyncClient
) -> None:
    assert (await asked(client)).status_code == HTTPStatus.NOT_FOUND
    await book.define_as({"type": "manual"})
    await book.pass_time(6)
    answer = await asked(client)
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert answer.json()["errors"] == [
        {
            "pointer": "/trigger",
            "detail": "of 'hello' has no schedule to go by: it is not periodic, cron or once",
        }
    ]


async def test_an_end_to_come_is_told_when_now_is(book: Kept, client: httpx.AsyncClient) -> None:
    await book.define_as(HOURLY)
    await book.pass_time(6)
    answer = await asked(client, to=format_instant(at(7)))
    assert answer.json()["errors"] == [
        {
            "pointer": "/to",
            "detail": "must not be after now, 2026-01-01T06:00:00.000Z: what is to come is left "
            "to the schedule",
        }
    ]


async def test_a_backfill_waits_in_places_of_its_own_and_runs_in_order(
    book: Kept, client: httpx.AsyncClient
) -> None:
    await book.define_as(HOURLY)
    await book.pass_time(6)
    plan = await planned(client, dryRun=False)
    assert (hours(plan), plan["dryRun"]) == (["01", "02", "03", "04"], False)
    waiting = await book.executions.buffered(KEY, 10)
    assert [e.scheduled_for for e in waiting] == [at(n) for n in (1, 2, 3, 4)]
    assert {e.status for e in waiting} == {Status.BUFFERED}
    assert all(e.wake_at for e in waiting)
    serve = ServeBuffer(book.workflows, book.executions, book.clock, book.timing)
    ran = []
    for _ in range(4):
        (on,) = (await serve(WorkflowRef(TENANT, "hello"))).promoted
        ran.append(on.scheduled_for)
        assert on.is_backfill
        assert (await serve(WorkflowRef(TENANT, "hello"))).promoted == []
        book.notices.clear()
        await book.cancel(TENANT, on.id)
        assert book.notices == [WorkflowFreed(TENANT, "hello")]
    assert ran == [at(n) for n in (1, 2, 3, 4)]


async def test_a_backfill_keeps_nothing_of_the_schedule_from_running(
    book: Kept, client: httpx.AsyncClient
) -> None:
    await book.create(log("a"), trigger=HOURLY, overlap="buffer-one")
    await book.pass_time(6)
    await planned(client, dryRun=False)
    due = await book.due()
    for number, status in ((7, Status.QUEUED), (8, Status.BUFFERED)):
        wanted = Wanted(occurrence(due, at(number), at(number), book.timing), due.policy)
        (found,) = await admit(book.executions, [wanted])
        assert (found.outcome, found.execution.status) == (AddOutcome.ADDED, status)
    wanted = Wanted(occurrence(due, at(9), at(9), book.timing), due.policy)
    assert [each.outcome for each in await admit(book.executions, [wanted])] == [AddOutcome.BUSY]


@pytest.mark.parametrize(
    ("trigger", "rules"),
    [(HOURLY, None), ({"type": "cron", "schedule": "0 * * * *"}, tzdata_version())],
    ids=["periodic", "cron"],
)
async def test_the_history_of_a_run_has_the_version_of_the_rules_that_its_instant_goes_by(
    book: Kept, client: httpx.AsyncClient, trigger: Json, rules: str | None
) -> None:
    await book.define_as(trigger)
    await book.pass_time(6)
    await planned(client, dryRun=False)
    waiting = [e for e in book.executions.stored() if e.status is Status.BUFFERED]
    assert [e.history[0].tzdata for e in waiting] == [rules] * 4


async def test_a_backfill_that_is_asked_for_again_adds_nothing(
    book: Kept, client: httpx.AsyncClient
) -> None:
    await book.define_as(HOURLY)
    await book.pass_time(6)
    await planned(client, dryRun=False)
    for existing in Existing:
        again = await planned(client, dryRun=False, existing=existing.value)
        assert (again["items"], again["left"]) == ([], 4)
    assert len(await book.executions.buffered(KEY, 10)) == 4


async def test_more_than_may_wait_is_refused(book: Kept, client: httpx.AsyncClient) -> None:
    await book.define_as({"type": "periodic", "interval": "1s"})
    await book.pass_time(1)
    first = {"from": "2026-01-01T00:00:01Z", "to": "2026-01-01T00:10:01Z"}
    await planned(client, dryRun=False, **first)
    more = {"from": "2026-01-01T00:10:01Z", "to": "2026-01-01T00:20:01Z"}
    refused = await asked(client, dryRun=False, **more)
    assert refused.status_code == HTTPStatus.CONFLICT
    assert "room for 400 more" in refused.json()["detail"]


async def test_what_cancels_what_runs_is_not_backfilled(
    book: Kept, client: httpx.AsyncClient
) -> None:
    await book.create(log("a"), trigger=HOURLY, overlap="cancel-running")
    await book.pass_time(6)
    refused = await asked(client, dryRun=False)
    assert refused.status_code == HTTPStatus.CONFLICT
    assert "cancel each other" in refused.json()["detail"]


async def test_the_time_that_a_backfill_waits_does_not_count_against_its_timeout(
    book: Kept, client: httpx.AsyncClient
) -> None:
    await book.create(log("a"), trigger=HOURLY, timeout="10m")
    await book.pass_time(6)
    await planned(client, dryRun=False, to=format_instant(at(2)))
    await book.pass_time(3)
    serve = ServeBuffer(book.workflows, book.executions, book.clock, book.timing)
    (on,) = (await serve(WorkflowRef(TENANT, "hello"))).promoted
    assert on.deadline == book.clock.now() + timedelta(minutes=10)
    assert fold(await book.stored(on.id)).deadline == on.deadline
