"""How MongoDB answers the queries that the services send: by an index, however much is stored.

The database's own profiler records each operation of a repository with its plan.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest

from shared.adapters.mongo.connection import MongoConnection
from shared.adapters.mongo.executions import MongoExecutions
from shared.adapters.mongo.ledger import MongoLedger
from shared.adapters.mongo.operations import MongoDeadLetters, MongoMembers
from shared.adapters.mongo.workflows import MongoWorkflows
from shared.domain import transitions
from shared.domain.execution import Execution, Status
from shared.domain.identity import occurrence_id, workflow_key
from shared.ports.bus import Record
from shared.ports.dead_letters import DeadLetter, DeadLetterStatus
from shared.ports.executions import Change, ExecutionQuery
from shared.ports.ledger import OccurrenceQuery
from shared.ports.workflows import Advance, VersionRef, WorkflowQuery
from tests.integration.plans import Storage
from tests.support.builders import CATALOGUE, NOW, SECOND, TENANT, lease, queued, workflow

RETENTION: Final = timedelta(days=36500)
"""So long that the database itself removes nothing meanwhile."""

FAR: Final = NOW + RETENTION
FINISHED, UNFINISHED, DUE = 300, 40, 6
MANUAL, PERIODIC = 100, 30
HORIZON: Final = NOW + (DUE - 1) * SECOND
OWN_SHARDS: Final = range(32)


def finished(number: int) -> Execution:
    before = queued(f"{number}", f"done-{number % 10}", now=NOW + number * SECOND)
    return transitions.cancel(before, NOW, RETENTION)


def open_id(number: int) -> str:
    return unfinished(number).id


def unfinished(number: int) -> Execution:
    return queued("1", f"open-{number}", wake_at=NOW + number * SECOND)


def letter(number: int) -> DeadLetter:
    at = NOW + number * SECOND
    record = Record("requests", 0, number, at, None, b"x")
    return DeadLetter(f"{number}", record, "odd", at, at + RETENTION)


@pytest.fixture
async def storage(mongo: MongoConnection) -> Storage:
    made = Storage(
        mongo,
        MongoExecutions(mongo.executions),
        MongoWorkflows(mongo, CATALOGUE),
        MongoDeadLetters(mongo),
        MongoMembers(mongo),
    )
    executions = [finished(number) for number in range(FINISHED)]
    await made.executions.add([*executions, *(unfinished(n) for n in range(UNFINISHED))])
    periodic = [workflow(f"periodic-{n}", interval=f"{n + 1}s") for n in range(PERIODIC)]
    manual = [workflow(f"manual-{n}") for n in range(MANUAL)]
    # Side by side, as each of these writes waits for the disk.
    await asyncio.gather(
        *(made.workflows.add(each) for each in (*manual, *periodic)),
        *(made.workflows.add_version(TENANT, each.definition, 1) for each in periodic),
        *(made.letters.add(letter(n)) for n in range(20)),
    )
    return made


POLLS: Final[dict[str, Callable[[Storage], Awaitable[object]]]] = {
    "executions that are due": lambda s: s.executions.due(HORIZON, None, 100),
    "the first executions that are due": lambda s: s.executions.due(HORIZON, None, 3),
    "executions that are due in some shards": lambda s: s.executions.due(HORIZON, OWN_SHARDS, 100),
    "nothing due among executions": lambda s: s.executions.due(NOW - SECOND, None, 100),
    "orphans": lambda s: s.executions.orphans(),
    "workflows that are due": lambda s: s.workflows.due(NOW + DUE * SECOND, None, 100),
    "workflows that are due in some shards": lambda s: s.workflows.due(
        NOW + DUE * SECOND, OWN_SHARDS, 100
    ),
    "nothing due among workflows": lambda s: s.workflows.due(NOW, None, 100),
}


@pytest.mark.parametrize("poll", POLLS.values(), ids=list(POLLS))
async def test_a_poll_reads_nothing_but_what_is_due_from_a_partial_index(
    storage: Storage, poll: Callable[[Storage], Awaitable[object]]
) -> None:
    plans = await storage.plans(poll)
    assert plans
    for plan in plans:
        assert "IXSCAN" in plan.stages
        assert not {"COLLSCAN", "SORT"} & plan.stages
        assert plan.partial
        assert plan.keys <= DUE + 1
        assert plan.documents == plan.returned


async def test_several_triggers_of_a_workflow_are_polled_and_moved_like_one(
    storage: Storage,
) -> None:
    triggers = [{"id": f"t{n}", "type": "periodic", "interval": f"{n}s"} for n in (1, 2, 3)]
    names = [f"several-{number}" for number in range(DUE)]
    for name in names:
        await storage.workflows.add(workflow(name, triggers=triggers))
    horizon = NOW + SECOND
    (poll,) = await storage.plans(lambda s: s.workflows.due(horizon, None, 100))
    assert poll.partial
    assert "SORT" not in poll.stages
    assert poll.documents == poll.returned == DUE + 1
    assert poll.keys <= DUE + 2
    later = NOW + 9 * SECOND
    moves = [Advance(TENANT, name, 1, horizon, later, trigger_id="t1") for name in names]
    for plan in await storage.plans(lambda s: s.workflows.advance(moves)):
        assert "COLLSCAN" not in plan.stages
        assert plan.documents <= 1
    assert len(await storage.workflows.due(horizon, None, 100)) == 1
    assert (await storage.entries("workflows"))["due"] == PERIODIC + DUE


async def test_polled_indexes_hold_nothing_but_what_is_unfinished(storage: Storage) -> None:
    executions = await storage.entries("executions")
    assert executions["_id_"] == FINISHED + UNFINISHED
    assert executions["due"] == executions["active_key"] == UNFINISHED
    assert executions["orphans"] == executions["buffered_orphans"] == 0
    assert executions["buffer_key"] == 0
    assert executions["retention"] == FINISHED
    workflows = await storage.entries("workflows")
    assert workflows["_id_"] == MANUAL + PERIODIC
    assert workflows["due"] == PERIODIC


async def test_what_ends_or_is_switched_off_leaves_the_polled_indexes(storage: Storage) -> None:
    before = unfinished(0)
    await storage.executions.record([Change(before, transitions.cancel(before, NOW, RETENTION))])
    executions = await storage.entries("executions")
    assert executions["due"] == executions["active_key"] == UNFINISHED - 1
    collection = storage.mongo.workflows
    await collection.update_one({"workflowId": "periodic-0"}, {"$set": {"enabled": False}})
    assert (await storage.entries("workflows"))["due"] == PERIODIC - 1


async def test_an_orphan_is_found_through_its_own_index(storage: Storage) -> None:
    await storage.mongo.executions.update_one({"_id": open_id(0)}, {"$unset": {"wakeAt": ""}})
    assert await storage.executions.orphans() == 1
    assert (await storage.entries("executions"))["orphans"] == 1


async def _postpone(storage: Storage) -> None:
    wakes = await storage.executions.due(HORIZON, None, 100)
    await storage.executions.postpone(wakes, HORIZON, HORIZON + 60 * SECOND, resend=True)


async def _record(storage: Storage) -> None:
    ids = [open_id(number) for number in range(DUE)]
    won = (await storage.executions.claim(ids, lease(), NOW)).won
    ended = [Change(e, transitions.cancel(e, NOW, RETENTION)) for e in won]
    await storage.executions.record(ended)


STEPS: Final[dict[str, Callable[[Storage], Awaitable[object]]]] = {
    "claim": lambda s: s.executions.claim([open_id(n) for n in range(DUE)], lease(), NOW),
    "renew": lambda s: s.executions.renew("runner", [open_id(n) for n in range(DUE)], HORIZON),
    "record": _record,
    "postpone": _postpone,
    "read one execution": lambda s: s.executions.get(TENANT, open_id(1)),
    "what holds workflows": lambda s: s.executions.active(
        [workflow_key(TENANT, f"open-{n}") for n in range(DUE)]
    ),
    "what holds one workflow": lambda s: s.executions.active([workflow_key(TENANT, "open-1")]),
    "read due workflows": lambda s: s.workflows.read_due(
        [workflow_key(TENANT, f"periodic-{n}") for n in range(DUE)]
    ),
    "advance workflows": lambda s: s.workflows.advance(
        [Advance(TENANT, f"periodic-{n}", 1, NOW + (n + 1) * SECOND, HORIZON) for n in range(DUE)]
    ),
    "read one workflow": lambda s: s.workflows.get(TENANT, "periodic-1"),
    "read versions": lambda s: s.workflows.versions([VersionRef(TENANT, "periodic-1", 1)]),
    "resolve a dead letter": lambda s: s.letters.resolve("1", DeadLetterStatus.DISCARDED, NOW),
}


@pytest.mark.parametrize("step", STEPS.values(), ids=list(STEPS))
async def test_a_step_touches_only_the_documents_that_it_names(
    storage: Storage, step: Callable[[Storage], Awaitable[object]]
) -> None:
    plans = await storage.plans(step)
    assert plans
    assert sum(plan.documents for plan in plans) > 0
    for plan in plans:
        assert plan.stages, plan
        assert "COLLSCAN" not in plan.stages, plan
        assert plan.documents <= DUE, plan
        assert plan.keys <= 2 * DUE, plan


async def test_what_is_taken_of_workflows_is_read_from_keys_alone(storage: Storage) -> None:
    keys = [workflow_key(TENANT, f"open-{n}") for n in range(DUE)]
    plans = await storage.plans(lambda s: s.executions.crowds(keys))
    assert len(plans) == 2
    assert sum(plan.keys for plan in plans) >= DUE
    for plan in plans:
        assert "IXSCAN" in plan.stages
        assert plan.documents == 0
        assert plan.keys <= 3 * DUE


async def test_what_is_buffered_is_found_without_looking_at_anything_else(
    storage: Storage,
) -> None:
    waiting = [transitions.buffer(transitions.queue(queued(f"w{n}"), NOW), n) for n in range(DUE)]
    await storage.executions.add(waiting)
    (plan,) = await storage.plans(lambda s: s.executions.buffered("default:hello", 10))
    assert (plan.documents, plan.returned) == (DUE, DUE)
    assert (await storage.entries("executions"))["buffer_key"] == DUE
    assert (await storage.entries("executions"))["active_key"] == UNFINISHED


LAST: Final = finished(100)
PAGE: Final = ExecutionQuery(tenant=TENANT, limit=20)
OF_ONE: Final = replace(PAGE, workflow_id="done-1")
AFTER: Final = (LAST.created_at, LAST.id)
LISTS: Final[dict[str, Callable[[Storage], Awaitable[object]]]] = {
    "executions": lambda s: s.executions.find(PAGE),
    "a later page of executions": lambda s: s.executions.find(replace(PAGE, after=AFTER)),
    "executions of some hours": lambda s: s.executions.find(
        replace(PAGE, created_from=NOW, created_to=NOW + 100 * SECOND)
    ),
    "executions of one workflow": lambda s: s.executions.find(OF_ONE),
    "executions of one workflow and status": lambda s: s.executions.find(
        replace(OF_ONE, statuses=frozenset({Status.CANCELLED, Status.FAILED}))
    ),
    "a later page of one workflow": lambda s: s.executions.find(
        replace(OF_ONE, after=AFTER, limit=5)
    ),
    "workflows": lambda s: s.workflows.find(WorkflowQuery(tenant=TENANT, limit=20)),
    "a later page of workflows": lambda s: s.workflows.find(
        WorkflowQuery(tenant=TENANT, after="manual-5", limit=20)
    ),
    "dead letters": lambda s: s.letters.find(None, None, 20),
    "a later page of dead letters": lambda s: s.letters.find(None, (NOW + 9 * SECOND, "9"), 20),
}


@pytest.mark.parametrize("read", LISTS.values(), ids=list(LISTS))
async def test_a_page_of_a_list_is_read_in_the_order_of_an_index_and_no_further(
    storage: Storage, read: Callable[[Storage], Awaitable[object]]
) -> None:
    (plan,) = await storage.plans(read)
    assert "IXSCAN" in plan.stages
    assert not {"COLLSCAN", "SORT"} & plan.stages
    assert plan.returned > 0
    assert plan.documents == plan.returned
    assert plan.keys <= plan.returned + 2


async def test_live_schedulers_are_found_by_their_index(storage: Storage) -> None:
    await storage.members.beat("gone", FAR, FAR)
    plans = await storage.plans(lambda s: s.members.beat("here", FAR, FAR + SECOND))
    assert "COLLSCAN" not in {stage for plan in plans for stage in plan.stages}
    assert max(plan.documents for plan in plans) == 1


@pytest.mark.parametrize(
    ("statuses", "touched"),
    [({Status.FAILED}, 0), ({Status.QUEUED, Status.RUNNING}, UNFINISHED)],
    ids=["failed", "unfinished"],
)
async def test_what_operators_look_for_is_found_without_reading_the_rest(
    storage: Storage, statuses: set[Status], touched: int
) -> None:
    query = replace(PAGE, statuses=frozenset(statuses), limit=UNFINISHED)
    (plan,) = await storage.plans(lambda s: s.executions.find(query))
    assert plan.partial
    assert plan.documents == plan.returned == touched


def occurrence(number: int, run: int = 0) -> Execution:
    at = NOW + number * SECOND
    own = occurrence_id(TENANT, "done-1", f"cron-{number % 2}", at, run)
    return finished(number).evolve(id=own, workflow_id="done-1", scheduled_for=at)


async def test_the_ledger_reads_a_page_and_no_further(storage: Storage) -> None:
    await storage.executions.add([occurrence(number) for number in range(FINISHED)])
    ledger = MongoLedger(storage.mongo.executions)
    page = OccurrenceQuery(
        tenant=TENANT, workflow_id="done-1", since=NOW + 50 * SECOND, until=FAR, limit=5
    )
    assert len(await ledger.find(page)) == 5
    triggers = ("manual", "cron-0", "cron-1")
    for read in (
        lambda _: ledger.find(page),
        lambda _: ledger.ended(TENANT, "done-1", NOW + 50 * SECOND, 5),
    ):
        plans = await storage.plans(read)
        assert {"IXSCAN"} <= {stage for plan in plans for stage in plan.stages}
        assert not {"COLLSCAN", "SORT"} & {stage for plan in plans for stage in plan.stages}
        assert len(plans) <= 2 * len(triggers) + 1
        assert sum(plan.documents for plan in plans) <= 5 * len(triggers) + len(triggers)


async def test_what_backfills_ran_is_passed_over_by_its_keys_alone(storage: Storage) -> None:
    await storage.executions.add([occurrence(number) for number in range(10)])
    await storage.executions.add([occurrence(number, run=1) for number in range(50, 100)])
    ledger = MongoLedger(storage.mongo.executions)
    (plan,) = await storage.plans(lambda _: ledger.ended(TENANT, "done-1", None, 5))
    assert not {"COLLSCAN", "SORT"} & plan.stages
    assert plan.documents == plan.returned == 5


async def test_the_latest_record_of_a_trigger_is_one_document(storage: Storage) -> None:
    await storage.executions.add([occurrence(number) for number in range(FINISHED)])
    ledger = MongoLedger(storage.mongo.executions)
    (plan,) = await storage.plans(lambda _: ledger.latest(TENANT, "done-1", "cron-0"))
    assert "IXSCAN" in plan.stages
    assert not {"COLLSCAN", "SORT"} & plan.stages
    assert plan.documents == plan.returned == 1
