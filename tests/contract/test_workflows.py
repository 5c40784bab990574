"""What every WorkflowRepository promises."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import JsonValue

from shared.domain.catalogue import normalised
from shared.domain.due import due_workflows
from shared.domain.rescheduling import enable, redefine
from shared.domain.schedule import Missed
from shared.domain.workflow import delete, disable
from shared.ports.workflows import Advance, VersionRef, WorkflowQuery, WorkflowRepository
from tests.contract.steps import stored_workflow
from tests.support.builders import CATALOGUE, NOW, SECOND, TENANT, definition, workflow


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
    tombstone = await stored_workflow(workflows, "a")
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
    assert await stored_workflow(workflows, "a") == second
    assert await workflows.save(first, disable(first, NOW)) is False
    off = disable(second, NOW + 2 * SECOND)
    assert await workflows.save(second, off) is True
    assert await workflows.save(second, off) is False
    assert await stored_workflow(workflows, "a") == off


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
    assert (await stored_workflow(workflows, "a")).next_run_at == moved


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
    assert await stored_workflow(workflows, "a") == manual
    hourly = redefine(manual, definition("a", interval="1h"), 3, NOW)
    assert await workflows.save(manual, hourly) is True
    assert (await stored_workflow(workflows, "a")).next_run_at == NOW + timedelta(hours=1)


async def test_a_deleted_workflow_can_come_back(workflows: WorkflowRepository) -> None:
    first = workflow("a", interval="10s")
    await workflows.add(first)
    gone = delete(first, NOW)
    await workflows.save(first, gone)
    back = replace(workflow("a", interval="5s", now=NOW + SECOND), version=2)
    assert await workflows.save(gone, back) is True
    assert await stored_workflow(workflows, "a") == back


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


@pytest.mark.parametrize(
    "members", [{}, {"overlap": "buffer-all", "maxBuffered": 9}, {"maxConcurrent": 7}]
)
async def test_how_overlaps_are_dealt_with_reads_back_equal(
    workflows: WorkflowRepository, members: dict[str, Any]
) -> None:
    plain = workflow(interval="10s")
    made = workflow(interval="10s", **members)
    await workflows.add(made)
    (due,) = await workflows.read_due([made.key])
    assert due.policy == made.definition.overlap_policy
    assert await workflows.get(TENANT, made.id) == made
    changed = replace(redefine(made, plain.definition, 2, NOW), next_runs=made.next_runs)
    assert await workflows.save(made, changed)
    (due,) = await workflows.read_due([made.key])
    assert due.policy == changed.policy
    assert due.policy.narrowed == bool(members)
    assert await workflows.get(TENANT, made.id) == changed


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
        assert await stored_workflow(workflows, one.id) == one
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
    assert await stored_workflow(workflows, "later") == later
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
    assert await stored_workflow(workflows, "a") == once
    await workflows.advance([replace(moved, due=once.next_run_at)])
    assert await stored_workflow(workflows, "a") == replace(once, next_runs={})
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
    assert await stored_workflow(workflows, "a") == second


async def test_a_new_trigger_has_its_instant_also_if_the_old_one_fired_at_it_meanwhile(
    workflows: WorkflowRepository,
) -> None:
    once = workflow("a", trigger={"type": "once", "at": "2026-01-01T02:00:00Z"})
    assert once.next_run_at is not None
    await workflows.add(once)
    await workflows.advance([Advance(TENANT, "a", 1, once.next_run_at, None)])
    daily = definition("a", trigger={"type": "cron", "schedule": "0 2 * * *"})
    assert await workflows.save(once, redefine(once, daily, 2, NOW)) is True
    assert (await stored_workflow(workflows, "a")).next_run_at == once.next_run_at


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
    assert await stored_workflow(workflows, "a") == once


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
    assert await stored_workflow(workflows, "a") == on
    assert on.next_run_at is None
