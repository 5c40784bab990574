"""What every WorkflowRepository promises of a workflow with several triggers."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import JsonValue

from shared.domain.catalogue import normalised
from shared.domain.due import due_workflows
from shared.domain.rescheduling import enable, redefine
from shared.domain.workflow import Workflow, delete, disable
from shared.ports.workflows import (
    Advance,
    Upcoming,
    VersionRef,
    WorkflowQuery,
    WorkflowRepository,
)
from tests.contract.steps import stored_workflow
from tests.support.builders import CATALOGUE, NOW, SECOND, TENANT, definition, workflow

HOUR = timedelta(hours=1)
OFTEN: dict[str, Any] = {"id": "often", "type": "periodic", "interval": "10s"}
HOURLY: dict[str, Any] = {"id": "hourly", "type": "cron", "schedule": "0 * * * *"}
ONCE: dict[str, Any] = {"id": "once", "type": "once", "at": "2026-01-01T02:00:00Z"}
FIRST = {"often": NOW + 10 * SECOND, "hourly": NOW + HOUR, "once": NOW + 2 * HOUR}


def several(*triggers: dict[str, Any], name: str = "a") -> Workflow:
    return workflow(name, triggers=[*triggers] or [OFTEN, HOURLY, ONCE])


def move(trigger_id: str, due: datetime, to: datetime | None, version: int = 1) -> Advance:
    return Advance(TENANT, "a", version, due, to, trigger_id=trigger_id)


async def test_each_trigger_reads_back_with_its_own_instant(workflows: WorkflowRepository) -> None:
    one = several()
    assert await workflows.add(one) is True
    assert await stored_workflow(workflows, "a") == one
    assert one.next_runs == FIRST
    assert one.next_run_at == NOW + 10 * SECOND


async def test_a_version_with_several_triggers_is_kept_as_it_is(
    workflows: WorkflowRepository,
) -> None:
    one, two = several().definition, several(OFTEN, HOURLY).definition
    assert await workflows.add_version(TENANT, one, 1) is True
    assert await workflows.add_version(TENANT, one, 1) is True
    assert await workflows.add_version(TENANT, two, 1) is False
    ref = VersionRef(TENANT, "a", 1)
    assert await workflows.versions([ref]) == {ref: one}


async def test_a_workflow_is_due_once_at_the_earliest_instant(
    workflows: WorkflowRepository,
) -> None:
    await workflows.add(several())
    horizon = NOW + 3 * HOUR
    assert await workflows.due(horizon, None, 10) == [Upcoming(TENANT, "a", NOW + 10 * SECOND)]
    assert await workflows.due(NOW + 9 * SECOND, None, 10) == []


async def test_read_due_tells_each_trigger_that_has_an_instant(
    workflows: WorkflowRepository,
) -> None:
    over = {**ONCE, "at": "2025-01-01T00:00:00Z"}
    one = several(OFTEN, over, {"type": "manual"}, HOURLY)
    await workflows.add(one)
    found = await workflows.read_due([one.key])
    assert found == due_workflows(one)
    assert [due.trigger_id for due in found] == ["often", "hourly"]
    assert all(due.is_one_of_several for due in found)


async def test_advancing_moves_one_trigger_and_the_earliest_instant(
    workflows: WorkflowRepository,
) -> None:
    one = several()
    await workflows.add(one)
    late = NOW + 5 * HOUR
    await workflows.advance([move("often", FIRST["often"], late)])
    assert await stored_workflow(workflows, "a") == replace(one, next_runs={**FIRST, "often": late})
    assert await workflows.due(late, None, 10) == [Upcoming(TENANT, "a", NOW + HOUR)]
    both = [move("hourly", FIRST["hourly"], None), move("once", FIRST["once"], None)]
    await workflows.advance(both)
    assert (await stored_workflow(workflows, "a")).next_runs == {"often": late}
    assert await workflows.due(late, None, 10) == [Upcoming(TENANT, "a", late)]
    await workflows.advance([move("often", late, None)])
    assert (await stored_workflow(workflows, "a")).next_runs == {}
    assert await workflows.due(late, None, 10) == []
    assert await workflows.read_due([one.key]) == []


async def test_a_move_counts_once_and_for_its_version_and_its_trigger(
    workflows: WorkflowRepository,
) -> None:
    one, later = several(), NOW + 4 * HOUR
    await workflows.add(one)
    due = FIRST["often"]
    await workflows.advance(
        [
            move("often", due + SECOND, later),
            move("often", due, later, 2),
            move("hourly", due, None),
        ]
    )
    assert await stored_workflow(workflows, "a") == one
    await workflows.advance([move("often", due, later)])
    await workflows.advance([move("often", due, later + SECOND)])
    assert (await stored_workflow(workflows, "a")).next_runs["often"] == later


async def test_two_triggers_due_at_one_instant_move_each_by_itself(
    workflows: WorkflowRepository,
) -> None:
    await workflows.add(several({**OFTEN, "id": "a"}, {**OFTEN, "id": "b"}))
    at = NOW + 10 * SECOND
    await workflows.advance([move("a", at, NOW + 20 * SECOND)])
    assert (await stored_workflow(workflows, "a")).next_run_at == at
    await workflows.advance([move("b", at, NOW + 30 * SECOND)])
    assert (await stored_workflow(workflows, "a")).next_runs == {
        "a": NOW + 20 * SECOND,
        "b": NOW + 30 * SECOND,
    }


async def test_an_edit_is_refused_when_a_trigger_that_stays_moved_meanwhile(
    workflows: WorkflowRepository,
) -> None:
    first = several(OFTEN, HOURLY)
    await workflows.add(first)
    moved = NOW + 20 * SECOND
    await workflows.advance([move("often", FIRST["often"], moved)])
    edited = several(OFTEN, ONCE).definition
    assert await workflows.save(first, redefine(first, edited, 2, NOW)) is False
    present = await stored_workflow(workflows, "a")
    assert await workflows.save(present, redefine(present, edited, 2, NOW)) is True
    assert (await stored_workflow(workflows, "a")).next_runs == {
        "often": moved,
        "once": FIRST["once"],
    }


async def test_an_edit_stands_though_a_trigger_that_goes_moved_meanwhile(
    workflows: WorkflowRepository,
) -> None:
    first = several(OFTEN, HOURLY)
    await workflows.add(first)
    await workflows.advance([move("often", FIRST["often"], NOW + 20 * SECOND)])
    after = redefine(first, several(HOURLY).definition, 2, NOW)
    assert await workflows.save(first, after) is True
    assert await stored_workflow(workflows, "a") == after


async def test_an_edit_of_the_actions_keeps_what_the_scheduler_moved(
    workflows: WorkflowRepository,
) -> None:
    first = several(OFTEN, HOURLY)
    await workflows.add(first)
    moved = NOW + 20 * SECOND
    await workflows.advance([move("often", FIRST["often"], moved)])
    edited = definition("a", triggers=[OFTEN, HOURLY], actions=[{"type": "log", "message": "b"}])
    assert await workflows.save(first, redefine(first, edited, 2, NOW)) is True
    assert (await stored_workflow(workflows, "a")).next_runs == {
        "often": moved,
        "hourly": NOW + HOUR,
    }


async def test_one_trigger_becomes_several_and_several_become_one(
    workflows: WorkflowRepository,
) -> None:
    single = workflow("a", interval="10s")
    await workflows.add(single)
    named = {"id": "periodic", "type": "periodic", "interval": "10s"}
    both = redefine(single, several(named, HOURLY).definition, 2, NOW + SECOND)
    assert both.next_runs == {"periodic": NOW + 10 * SECOND, "hourly": NOW + HOUR}
    assert await workflows.save(single, both) is True
    assert await stored_workflow(workflows, "a") == both
    again = redefine(both, single.definition, 3, NOW + 2 * SECOND)
    assert again.next_runs == {"periodic": NOW + 10 * SECOND}
    assert await workflows.save(both, again) is True
    assert await stored_workflow(workflows, "a") == again
    await workflows.advance([Advance(TENANT, "a", 3, NOW + 10 * SECOND, NOW + 20 * SECOND)])
    assert (await stored_workflow(workflows, "a")).next_run_at == NOW + 20 * SECOND


async def test_the_order_of_triggers_is_kept_as_written(workflows: WorkflowRepository) -> None:
    first = several(OFTEN, HOURLY)
    await workflows.add(first)
    turned = redefine(first, several(HOURLY, OFTEN).definition, 2, NOW)
    assert await workflows.save(first, turned) is True
    found = await stored_workflow(workflows, "a")
    assert found == turned
    assert [*found.definition.all_triggers] == ["hourly", "often"]


async def test_enabling_is_refused_when_one_of_the_instants_moved_meanwhile(
    workflows: WorkflowRepository,
) -> None:
    off = disable(several(OFTEN, HOURLY), NOW)
    await workflows.add(off)
    on, missed = enable(off, NOW + 25 * SECOND)
    assert [(due.trigger_id, run.count) for due, run in missed] == [("often", 2)]
    await workflows.advance([move("hourly", FIRST["hourly"], NOW + 2 * HOUR)])
    assert await workflows.save(off, on) is False
    present = await stored_workflow(workflows, "a")
    on, _ = enable(present, NOW + 25 * SECOND)
    assert await workflows.save(present, on) is True
    assert (await stored_workflow(workflows, "a")).next_runs == {
        "often": NOW + 30 * SECOND,
        "hourly": NOW + 2 * HOUR,
    }


async def test_a_deleted_workflow_with_several_triggers_can_come_back(
    workflows: WorkflowRepository,
) -> None:
    first = several()
    await workflows.add(first)
    gone = delete(first, NOW)
    assert await workflows.save(first, gone) is True
    assert await workflows.due(NOW + 9 * HOUR, None, 10) == []
    back = replace(several(), version=2)
    assert await workflows.save(gone, back) is True
    assert await stored_workflow(workflows, "a") == back


async def test_find_knows_each_of_several_types(workflows: WorkflowRepository) -> None:
    made = [several(OFTEN, HOURLY), workflow("b", interval="1h"), several(ONCE, name="c")]
    for one in made:
        await workflows.add(one)
    found = {
        kind: [
            one.id for one in await workflows.find(WorkflowQuery(tenant=TENANT, trigger_type=kind))
        ]
        for kind in ("periodic", "cron", "once", "manual")
    }
    assert {kind: ids for kind, ids in found.items() if ids} == {
        "periodic": ["a", "b"],
        "cron": ["a"],
        "once": ["c"],
    }


async def test_a_trigger_that_cannot_be_read_keeps_no_sibling_from_being_read(
    workflows: WorkflowRepository,
) -> None:
    known = several(OFTEN, HOURLY)
    document = normalised(known.definition)
    later: JsonValue = [{**OFTEN, "colour": "red"}, HOURLY]
    one = replace(known, definition=CATALOGUE.restore({**document, "triggers": later}))
    await workflows.add(one)
    assert await stored_workflow(workflows, "a") == one
    assert [due.trigger_id for due in await workflows.read_due([one.key])] == ["hourly"]


async def test_the_runs_of_each_trigger_are_counted_with_its_moves(
    workflows: WorkflowRepository,
) -> None:
    made = several({**OFTEN, "maxRuns": 3}, HOURLY)
    assert await workflows.add(made) is True
    due, later = NOW + 10 * SECOND, NOW + 20 * SECOND
    await workflows.advance([Advance(TENANT, "a", 1, due, later, 2, "often")])
    stored = await stored_workflow(workflows, "a")
    assert (stored.runs, stored.next_runs["often"]) == ({"often": 2}, later)
    await workflows.advance([Advance(TENANT, "a", 1, due, None, 1, "often")])
    assert await stored_workflow(workflows, "a") == stored
    await workflows.advance([Advance(TENANT, "a", 1, later, None, 1, "often")])
    ended = await stored_workflow(workflows, "a")
    assert (ended.runs, ended.next_runs) == ({"often": 3}, {"hourly": NOW + HOUR})
    found = await workflows.read_due([made.key])
    assert [(one.trigger_id, one.runs) for one in found] == [("hourly", 0)]
