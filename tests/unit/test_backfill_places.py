"""What a backfill leaves to the schedule, and what it goes by when a schedule has ended."""

from collections.abc import AsyncIterator

import httpx
import pytest

from shared.domain.backfill import Existing
from shared.domain.due import due_workflows
from shared.domain.execution import Status
from shared.domain.instants import format_instant
from shared.ports.workflows import Advance
from tests.support.builders import TENANT
from tests.unit.backfills import Json, Kept, hours, planned, ran, served
from tests.unit.desk import log
from tests.unit.test_why_occurrence import HOURLY, at


@pytest.fixture
async def book() -> Kept:
    return Kept()


@pytest.fixture
async def client(book: Kept) -> AsyncIterator[httpx.AsyncClient]:
    async with served(book) as made:
        yield made


@pytest.mark.parametrize("state", ["paused", "disabled", "late"])
@pytest.mark.parametrize("existing", list(Existing))
async def test_what_the_schedule_has_not_dealt_with_is_left_to_it(
    book: Kept, client: httpx.AsyncClient, state: str, existing: Existing
) -> None:
    await book.define_as({**HOURLY, "catchUp": "all"})
    await book.clock.advance(at(2.5) - at(0))
    await book.deal_with(at(2))
    if state == "paused":
        await book.define.pause(TENANT, "hello", "moving house")
    elif state == "disabled":
        await book.define.set_enabled(TENANT, "hello", enabled=False, if_match=None)
    await book.clock.advance(at(6) - at(2.5))
    plan = await planned(client, existing=existing.value)
    assert (hours(plan), plan["left"], plan["owed"]) == (["01", "02"], 0, 2)


async def test_what_is_paused_runs_once_although_it_is_backfilled_and_resumed(
    book: Kept, client: httpx.AsyncClient
) -> None:
    await book.define_as({**HOURLY, "catchUp": "all"})
    await book.define.pause(TENANT, "hello", "moving house")
    await book.clock.advance(at(6) - at(0))
    plan = await planned(client, dryRun=False)
    assert (plan["items"], plan["left"], plan["owed"]) == ([], 0, 4)
    assert list(book.executions.stored()) == []
    await book.define.resume(TENANT, "hello")
    assert (await book.due()).next_run_at == at(1)


async def test_each_trigger_has_a_place_of_its_own_that_a_backfill_goes_by(
    book: Kept, client: httpx.AsyncClient
) -> None:
    one = {"type": "cron", "schedule": "0 * * * *"}
    triggers = [{**one, "id": "a"}, {**one, "id": "b"}]
    document: Json = {"workflowId": "hello", "triggers": triggers, "actions": [log("a")]}
    await book.define.create(TENANT, document)
    await book.clock.advance(at(6) - at(0))
    first, _ = due_workflows(await book.define.get(TENANT, "hello"))
    move = Advance(TENANT, "hello", 1, first.next_run_at, at(4), trigger_id=first.trigger_id)
    await book.workflows.advance([move])
    plan = await planned(client)
    found = [(item["trigger"], item["at"][11:13]) for item in plan["items"]]
    assert found == [("a", "01"), ("a", "02"), ("a", "03")]
    assert (plan["left"], plan["owed"]) == (0, 5)


async def test_an_ended_trigger_is_backfilled_on_the_grid_that_its_last_record_shows(
    book: Kept, client: httpx.AsyncClient
) -> None:
    await book.define_as({"type": "manual"})
    await book.pass_time(0.25)
    trigger = {**HOURLY, "endAt": format_instant(at(3.5))}
    document: Json = {"workflowId": "hello", "trigger": trigger, "actions": [log("a")]}
    await book.define.replace(TENANT, "hello", document, None)
    await ran(book, 1.25, Status.COMPLETED)
    await book.pass_time(6)
    assert not (await book.define.get(TENANT, "hello")).next_runs
    plan = await planned(client, **{"from": format_instant(at(-1.1))})
    assert [item["at"][11:16] for item in plan["items"]] == ["23:15", "00:15", "02:15", "03:15"]
    assert plan["left"] == 1


@pytest.mark.parametrize("jitter", [{}, {"jitter": "30m"}], ids=["plain", "jitter"])
async def test_an_ended_trigger_without_records_counts_from_the_creation(
    book: Kept, client: httpx.AsyncClient, jitter: Json
) -> None:
    await book.define_as({**HOURLY, "endAt": format_instant(at(3.5)), **jitter})
    delay = (await book.due()).next_run_at - at(1)
    await book.pass_time(6)
    assert not (await book.define.get(TENANT, "hello")).next_runs
    plan = await planned(client, **{"from": format_instant(at(0.6))})
    assert [item["at"] for item in plan["items"]] == [
        format_instant(at(hour) + delay) for hour in (1, 2, 3)
    ]
