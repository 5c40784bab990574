"""What every WorkflowRepository promises."""

from dataclasses import replace
from datetime import datetime, timedelta

from pydantic import JsonValue

from shared.domain.catalogue import normalised
from shared.domain.pause import Pause
from shared.domain.pausing import pause, resume
from shared.domain.schedule import Missed
from shared.domain.workflow import (
    Workflow,
    count_fires,
    delete,
    disable,
    due_workflows,
    enable,
    redefine,
)
from shared.ports.workflows import Advance, VersionRef, WorkflowQuery, WorkflowRepository
from tests.support.builders import CATALOGUE, NOW, SECOND, TENANT, definition, workflow


async def _stored(workflows: WorkflowRepository, workflow_id: str) -> Workflow:
    found = await workflows.get(TENANT, workflow_id)
    assert found is not None
    return found


async def test_an_added_workflow_reads_back_equal(workflows: WorkflowRepository) -> None:
    odd = {"type": "http-request", "url": "https://example.com", "body": {"$ref": "a", "$id": 1}}
    periodic = workflow("a", interval="90s", actions=[odd], retry={"retries": 1})
    assert await workflows.add(periodic) is True
    assert await workflows.add(workflow("b")) is True
    assert await workflows.get(TENANT, "a") == periodic
    assert await workflows.get(TENANT, "b") == workflow("b")
    assert await workflows.get("other", "a") is None
    assert await workflows.get(TENANT, "c") is None


async def test_an_id_is_taken_once_also_by_a_deleted_workflow(
    workflows: WorkflowRepository,
) -> None:
    first = workflow("a")
    await workflows.add(first)
    assert await workflows.add(workflow("a", interval="1h")) is False
    await workflows.save(first, delete(first, NOW))
    assert await workflows.add(first) is False
    tombstone = await _stored(workflows, "a")
    assert tombstone.deleted_at == NOW
    assert tombstone.version == 1


async def test_versions_are_immutable(workflows: WorkflowRepository) -> None:
    one, two = definition("a"), definition("a", interval="5s")
    assert await workflows.add_version(TENANT, one, 1) is True
    assert await workflows.add_version(TENANT, one, 1) is True
    assert await workflows.add_version(TENANT, two, 1) is False
    assert await workflows.add_version(TENANT, two, 2) is True
    refs = [VersionRef(TENANT, "a", n) for n in (1, 2, 3)]
    assert await workflows.versions(refs) == {refs[0]: one, refs[1]: two}


async def test_saving_is_refused_after_somebody_else_saved(workflows: WorkflowRepository) -> None:
    first = workflow("a", interval="10s")
    await workflows.add(first)
    second = redefine(first, definition("a", interval="20s"), 2, NOW + SECOND)
    assert await workflows.save(first, second) is True
    assert await _stored(workflows, "a") == second
    assert await workflows.save(first, disable(first, NOW)) is False
    off = disable(second, NOW + 2 * SECOND)
    assert await workflows.save(second, off) is True
    assert await workflows.save(second, off) is False
    assert await _stored(workflows, "a") == off


async def test_saving_keeps_an_instant_that_the_scheduler_moved(
    workflows: WorkflowRepository,
) -> None:
    first = workflow("a", interval="10s")
    assert first.next_run_at is not None
    await workflows.add(first)
    moved = first.next_run_at + 10 * SECOND
    await workflows.advance([Advance(TENANT, "a", 1, first.next_run_at, moved)])
    other_actions = definition("a", interval="10s", actions=[{"type": "log", "message": "new"}])
    assert await workflows.save(first, redefine(first, other_actions, 2, NOW)) is True
    assert (await _stored(workflows, "a")).next_run_at == moved


async def test_enabling_is_refused_when_the_instant_moved_meanwhile(
    workflows: WorkflowRepository,
) -> None:
    on = workflow("a", interval="10s")
    off = disable(on, NOW)
    assert off.next_run_at is not None
    await workflows.add(off)
    again, missed = enable(off, NOW + 25 * SECOND)
    assert missed
    await workflows.advance([Advance(TENANT, "a", 1, off.next_run_at, NOW + 20 * SECOND)])
    assert await workflows.save(off, again) is False


async def test_a_changed_trigger_moves_the_instant(workflows: WorkflowRepository) -> None:
    first = workflow("a", interval="10s")
    await workflows.add(first)
    manual = redefine(first, definition("a"), 2, NOW)
    assert await workflows.save(first, manual) is True
    assert await _stored(workflows, "a") == manual
    hourly = redefine(manual, definition("a", interval="1h"), 3, NOW)
    assert await workflows.save(manual, hourly) is True
    assert (await _stored(workflows, "a")).next_run_at == NOW + timedelta(hours=1)


async def test_a_deleted_workflow_can_come_back(workflows: WorkflowRepository) -> None:
    first = workflow("a", interval="10s")
    await workflows.add(first)
    gone = delete(first, NOW)
    await workflows.save(first, gone)
    back = replace(workflow("a", interval="5s", now=NOW + SECOND), version=2)
    assert await workflows.save(gone, back) is True
    assert await _stored(workflows, "a") == back


async def test_find_lists_by_id_page_by_page(workflows: WorkflowRepository) -> None:
    made = [workflow(name, interval="5s" if name < "c" else None) for name in "dacbe"]
    for one in made:
        await workflows.add(one)
    await workflows.save(made[-1], delete(made[-1], NOW))
    first = await workflows.find(WorkflowQuery(tenant=TENANT, limit=3))
    assert [w.id for w in first] == ["a", "b", "c"]
    rest = await workflows.find(WorkflowQuery(tenant=TENANT, limit=3, after="c"))
    assert [w.id for w in rest] == ["d"]
    periodic = await workflows.find(WorkflowQuery(tenant=TENANT, trigger_type="periodic"))
    assert [w.id for w in periodic] == ["a", "b"]
    assert await workflows.find(WorkflowQuery(tenant="other")) == []


async def test_due_finds_enabled_workflows_by_their_instant(workflows: WorkflowRepository) -> None:
    made = [workflow(f"w{n}", interval=f"{n}s") for n in (3, 1, 2, 9)]
    for one in (*made, workflow("manual"), disable(workflow("off", interval="1s"), NOW)):
        await workflows.add(one)
    gone = workflow("gone", interval="1s")
    await workflows.add(gone)
    await workflows.save(gone, delete(gone, NOW))
    due = await workflows.due(NOW + 3 * SECOND, None, 10)
    assert [(u.workflow_id, u.next_run_at - NOW) for u in due] == [
        ("w1", SECOND),
        ("w2", 2 * SECOND),
        ("w3", 3 * SECOND),
    ]
    assert len(await workflows.due(NOW + 3 * SECOND, None, 2)) == 2
    mine = await workflows.due(NOW + 9 * SECOND, [made[0].shard], 10)
    assert [u.workflow_id for u in mine] == ["w3"]


async def test_read_due_tells_what_firing_needs(workflows: WorkflowRepository) -> None:
    own = {"type": "log", "message": "x", "retry": {"retries": 7}}
    periodic = workflow("a", interval="10s", actions=[own])
    plain = workflow("b", interval="10s", retry={"retries": 1})
    for one in (periodic, plain, workflow("m"), disable(workflow("off", interval="1s"), NOW)):
        await workflows.add(one)
    found = await workflows.read_due(
        ["default:a", "default:b", "default:m", "default:off", "default:nobody"]
    )
    a, b = sorted(found, key=lambda due: due.workflow_id)
    assert (a.workflow_id, a.version, a.trigger, a.retries, a.next_run_at) == (
        "a",
        1,
        periodic.definition.trigger,
        7,
        NOW + 10 * SECOND,
    )
    assert b.retries == 1


async def test_read_due_tells_the_trigger_whatever_its_type(workflows: WorkflowRepository) -> None:
    cron = {
        "type": "cron",
        "schedule": ["0 2 * * *", "@weekly"],
        "timezone": "Europe/Rome",
        "exclude": ["2026-01-02"],
        "onGap": "skip",
        "onFold": "both",
        "startAt": "2026-01-01T12:00:00+01:00",
        "endAt": "2027-01-01T00:00:00Z",
        "catchUp": "all",
        "catchUpWindow": "6h",
        "jitter": "90s",
    }
    once = {"type": "once", "at": "2026-01-01T05:00:00.250Z"}
    made = [workflow("cron", trigger=cron), workflow("once", trigger=once)]
    for one in made:
        await workflows.add(one)
        assert await _stored(workflows, one.id) == one
    found = await workflows.read_due([one.key for one in made])
    triggers = {due.workflow_id: due.trigger for due in found}
    assert triggers == {one.id: one.definition.trigger for one in made}


async def test_a_trigger_that_cannot_be_read_keeps_no_other_from_being_read(
    workflows: WorkflowRepository,
) -> None:
    known = workflow("known", interval="10s")
    trigger: JsonValue = {"type": "periodic", "interval": "10s", "spread": "2s"}
    document = {**normalised(known.definition), "workflowId": "later", "trigger": trigger}
    later = replace(known, definition=CATALOGUE.restore(document))
    for one in (later, known):
        await workflows.add(one)
    assert await _stored(workflows, "later") == later
    assert {due.workflow_id for due in await workflows.read_due([later.key, known.key])} == {
        "known"
    }


async def test_a_trigger_that_has_come_to_its_end_is_never_due_again(
    workflows: WorkflowRepository,
) -> None:
    once = workflow("a", trigger={"type": "once", "at": "2026-01-01T05:00:00Z"})
    assert once.next_run_at is not None
    await workflows.add(once)
    moved = Advance(TENANT, "a", 1, once.next_run_at + SECOND, None)
    await workflows.advance([moved])
    assert await _stored(workflows, "a") == once
    await workflows.advance([replace(moved, due=once.next_run_at)])
    assert await _stored(workflows, "a") == replace(once, next_runs={})
    assert await workflows.due(NOW + timedelta(days=1), None, 10) == []
    assert await workflows.read_due([once.key]) == []


async def test_a_changed_trigger_with_the_same_next_instant_leaves_nothing_of_the_old_one(
    workflows: WorkflowRepository,
) -> None:
    trigger = {"type": "cron", "schedule": "0 2 * * *", "endAt": "2027-01-01T00:00:00Z"}
    first = workflow("a", trigger=trigger)
    await workflows.add(first)
    hourly = definition("a", trigger={"type": "cron", "schedule": "0 2,3 * * *"})
    second = redefine(first, hourly, 2, NOW)
    assert second.next_run_at == first.next_run_at
    assert await workflows.save(first, second) is True
    assert await _stored(workflows, "a") == second


async def test_a_new_trigger_has_its_instant_also_if_the_old_one_fired_at_it_meanwhile(
    workflows: WorkflowRepository,
) -> None:
    once = workflow("a", trigger={"type": "once", "at": "2026-01-01T02:00:00Z"})
    assert once.next_run_at is not None
    await workflows.add(once)
    await workflows.advance([Advance(TENANT, "a", 1, once.next_run_at, None)])
    daily = definition("a", trigger={"type": "cron", "schedule": "0 2 * * *"})
    assert await workflows.save(once, redefine(once, daily, 2, NOW)) is True
    assert (await _stored(workflows, "a")).next_run_at == once.next_run_at


async def test_a_move_that_an_old_trigger_decided_leaves_a_new_one_alone(
    workflows: WorkflowRepository,
) -> None:
    hourly = workflow("a", trigger={"type": "cron", "schedule": "0 * * * *"})
    assert hourly.next_run_at is not None
    await workflows.add(hourly)
    again = definition("a", trigger={"type": "once", "at": "2026-01-01T01:00:00Z"})
    once = redefine(hourly, again, 2, NOW)
    assert once.next_run_at == hourly.next_run_at
    assert await workflows.save(hourly, once) is True
    later = hourly.next_run_at + timedelta(hours=1)
    await workflows.advance([Advance(TENANT, "a", 1, hourly.next_run_at, later)])
    assert await _stored(workflows, "a") == once


async def test_enabling_a_trigger_that_ended_while_it_was_off_leaves_no_instant(
    workflows: WorkflowRepository,
) -> None:
    once = workflow("a", trigger={"type": "once", "at": "2026-01-01T02:00:00Z"})
    off = disable(once, NOW)
    await workflows.add(off)
    on, missed = enable(off, NOW + timedelta(hours=3))
    at = NOW + timedelta(hours=2)
    assert missed == [(*due_workflows(off), Missed(at, at, 1))]
    assert await workflows.save(off, on) is True
    assert await _stored(workflows, "a") == on
    assert on.next_run_at is None


async def test_advancing_moves_an_instant_once(workflows: WorkflowRepository) -> None:
    for name in ("a", "b"):
        await workflows.add(workflow(name, interval="10s"))
    due, later = NOW + 10 * SECOND, NOW + 20 * SECOND
    stale = Advance(TENANT, "b", 1, NOW, later)
    await workflows.advance([Advance(TENANT, "a", 1, due, later), stale])
    await workflows.advance([Advance(TENANT, "a", 1, due, later + SECOND)])
    await workflows.advance([])
    assert (await _stored(workflows, "a")).next_run_at == later
    assert (await _stored(workflows, "b")).next_run_at == due


async def test_fires_are_counted_by_the_move_that_tells_of_them(
    workflows: WorkflowRepository,
) -> None:
    limited = {"type": "periodic", "interval": "10s", "maxRuns": 3}
    made = {name: workflow(name, trigger=limited) for name in ("a", "b", "c")}
    for one in made.values():
        await workflows.add(one)
    due, later = NOW + 10 * SECOND, NOW + 20 * SECOND
    move = Advance(TENANT, "a", 1, due, later, fires=2)
    await workflows.advance([move, Advance(TENANT, "b", 1, due, later)])
    await workflows.advance([move, Advance(TENANT, "c", 1, later, None, fires=3)])
    moved = {
        "a": replace(made["a"], next_runs={"periodic": later}, runs={"periodic": 2}),
        "b": replace(made["b"], next_runs={"periodic": later}),
        "c": made["c"],
    }
    assert {name: await _stored(workflows, name) for name in made} == moved
    found = await workflows.read_due([one.key for one in made.values()])
    assert {due.workflow_id: (due.runs, due.runs_left) for due in found} == {
        "a": (2, 1),
        "b": (0, 3),
        "c": (0, 3),
    }
    await workflows.advance([Advance(TENANT, "a", 1, later, None, fires=1)])
    assert await _stored(workflows, "a") == replace(made["a"], next_runs={}, runs={"periodic": 3})


async def test_saving_keeps_the_runs_that_the_scheduler_counted_unless_the_trigger_changed(
    workflows: WorkflowRepository,
) -> None:
    limited = {"type": "periodic", "interval": "10s", "maxRuns": 3}
    first = workflow("a", trigger=limited)
    await workflows.add(first)
    due, later = NOW + 10 * SECOND, NOW + 20 * SECOND
    await workflows.advance([Advance(TENANT, "a", 1, due, later, fires=1)])
    off = disable(first, NOW)
    assert await workflows.save(first, off) is True
    stored = await _stored(workflows, "a")
    assert stored == replace(off, next_runs={"periodic": later}, runs={"periodic": 1})
    on, _ = enable(stored, NOW + 25 * SECOND)
    assert await workflows.save(stored, count_fires(on, "periodic", 1)) is True
    assert (await _stored(workflows, "a")).runs == {"periodic": 2}
    more = definition("a", trigger={**limited, "maxRuns": 9})
    again = redefine(count_fires(on, "periodic", 1), more, 2, NOW)
    assert await workflows.save(count_fires(on, "periodic", 1), again) is True
    assert await _stored(workflows, "a") == again
    assert again.runs == {}


async def test_a_pause_reads_back_equal_until_it_ends(workflows: WorkflowRepository) -> None:
    periodic = workflow("p", interval="10s", pauseOnFailure=3)
    await workflows.add(periodic)
    halted = pause(periodic, Pause(NOW + SECOND, "moving house"))
    assert await workflows.save(periodic, halted)
    assert await _stored(workflows, "p") == halted
    assert await workflows.due(NOW + 100 * SECOND, None, 10) == []
    assert await workflows.read_due([halted.key]) == []
    resumed, missed = resume(halted, NOW + 35 * SECOND)
    assert await workflows.save(halted, resumed)
    assert await _stored(workflows, "p") == resumed
    assert resumed.next_run_at == NOW + 30 * SECOND
    assert [lapsed for _, lapsed in missed] == [Missed(_tens(1), _tens(2), 2)]
    (due,) = await workflows.read_due([halted.key])
    assert [due] == due_workflows(resumed)
    assert (due.pause_on_failure, due.resumed_at) == (3, NOW + 35 * SECOND)


async def test_a_pause_that_was_replaced_meanwhile_is_not_ended(
    workflows: WorkflowRepository,
) -> None:
    periodic = workflow("p", interval="10s")
    first = pause(periodic, Pause(NOW, "first"))
    await workflows.add(first)
    on, _ = resume(first, NOW)
    assert await workflows.save(first, on)
    second = pause(on, Pause(NOW + SECOND, "second"))
    assert await workflows.save(on, second)
    assert await workflows.save(first, on) is False
    assert await _stored(workflows, "p") == second


async def test_a_scheduler_pauses_what_it_read_and_nothing_else(
    workflows: WorkflowRepository,
) -> None:
    periodic = workflow("p", interval="10s")
    await workflows.add(periodic)
    (due,) = due_workflows(periodic)
    why = Pause(NOW + 10 * SECOND, "3 in a row")
    assert await workflows.pause(replace(due, version=2), why) is False
    assert await workflows.pause(replace(due, resumed_at=NOW), why) is False
    assert await workflows.pause(due, why)
    halted = await _stored(workflows, "p")
    assert halted == pause(periodic, why)
    assert await workflows.pause(due, Pause(NOW, "again")) is False
    on, _ = resume(halted, NOW + 10 * SECOND)
    assert await workflows.save(halted, on)
    assert await workflows.pause(due, why) is False


def _tens(number: int) -> datetime:
    return NOW + number * 10 * SECOND
