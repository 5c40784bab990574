"""What every WorkflowRepository promises of instants, runs and pauses."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.domain.due import due_workflows
from shared.domain.held import Hold
from shared.domain.pause import Pause
from shared.domain.pausing import pause, resume
from shared.domain.rescheduling import enable, redefine
from shared.domain.schedule import Missed
from shared.domain.workflow import count_fires, disable
from shared.ports.workflows import Advance, WorkflowRepository
from tests.contract.steps import stored_workflow
from tests.support.builders import NOW, SECOND, TENANT, definition, workflow


async def test_advancing_moves_an_instant_once(workflows: WorkflowRepository) -> None:
    for name in ("a", "b"):
        await workflows.add(workflow(name, interval="10s"))
    due, later = NOW + 10 * SECOND, NOW + 20 * SECOND
    stale = Advance(TENANT, "b", 1, NOW, later)
    await workflows.advance([Advance(TENANT, "a", 1, due, later), stale])
    await workflows.advance([Advance(TENANT, "a", 1, due, later + SECOND)])
    await workflows.advance([])
    assert (await stored_workflow(workflows, "a")).next_run_at == later
    assert (await stored_workflow(workflows, "b")).next_run_at == due


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
    assert {name: await stored_workflow(workflows, name) for name in made} == moved
    found = await workflows.read_due([one.key for one in made.values()])
    assert {due.workflow_id: (due.runs, due.runs_left) for due in found} == {
        "a": (2, 1),
        "b": (0, 3),
        "c": (0, 3),
    }
    await workflows.advance([Advance(TENANT, "a", 1, later, None, fires=1)])
    assert await stored_workflow(workflows, "a") == replace(
        made["a"], next_runs={}, runs={"periodic": 3}
    )


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
    stored = await stored_workflow(workflows, "a")
    assert stored == replace(off, next_runs={"periodic": later}, runs={"periodic": 1})
    on, _ = enable(stored, NOW + 25 * SECOND)
    assert await workflows.save(stored, count_fires(on, "periodic", 1)) is True
    assert (await stored_workflow(workflows, "a")).runs == {"periodic": 2}
    more = definition("a", trigger={**limited, "maxRuns": 9})
    again = redefine(count_fires(on, "periodic", 1), more, 2, NOW)
    assert await workflows.save(count_fires(on, "periodic", 1), again) is True
    assert await stored_workflow(workflows, "a") == again
    assert again.runs == {}


HOURLY = {"type": "cron", "schedule": "0 * * * *"}
HOUR = timedelta(hours=1)


@pytest.mark.parametrize("minutes", [10, 59])
async def test_an_edit_of_a_jitter_is_refused_when_the_instant_moved_meanwhile(
    workflows: WorkflowRepository, minutes: int
) -> None:
    """Whether it moves the instant, or holds it as that is due."""
    now = NOW + timedelta(minutes=minutes)
    first = workflow("a", trigger=HOURLY)
    await workflows.add(first)
    later = definition("a", trigger={**HOURLY, "jitter": "45m"})
    changed = redefine(first, later, 2, now)
    assert bool(changed.holds) is (minutes == 59)
    await workflows.advance([Advance(TENANT, "a", 1, NOW + HOUR, NOW + 2 * HOUR)])
    assert await workflows.save(first, changed) is False
    present = await stored_workflow(workflows, "a")
    changed = redefine(present, later, 2, now)
    assert changed.holds == {}
    assert await workflows.save(present, changed) is True
    assert await stored_workflow(workflows, "a") == changed


async def test_an_edit_of_a_policy_is_refused_when_the_instant_moved_meanwhile(
    workflows: WorkflowRepository,
) -> None:
    first = workflow("a", trigger=HOURLY)
    await workflows.add(first)
    other = definition("a", trigger={**HOURLY, "catchUp": "all"})
    await workflows.advance([Advance(TENANT, "a", 1, NOW + HOUR, NOW + 2 * HOUR)])
    assert await workflows.save(first, redefine(first, other, 2, NOW)) is False
    present = await stored_workflow(workflows, "a")
    assert await workflows.save(present, redefine(present, other, 2, NOW)) is True
    assert (await stored_workflow(workflows, "a")).next_run_at == NOW + 2 * HOUR


async def test_what_is_held_reads_back_equal_and_a_move_of_the_old_version_leaves_it_alone(
    workflows: WorkflowRepository,
) -> None:
    first = workflow("a", trigger=HOURLY)
    await workflows.add(first)
    later = definition("a", trigger={**HOURLY, "jitter": "45m"})
    changed = redefine(first, later, 2, NOW + HOUR)
    assert await workflows.save(first, changed) is True
    await workflows.advance([Advance(TENANT, "a", 1, NOW + HOUR, NOW + 2 * HOUR)])
    assert await stored_workflow(workflows, "a") == changed
    (due,) = await workflows.read_due([changed.key])
    assert [due] == due_workflows(changed)
    assert due.hold == Hold(NOW + HOUR, timedelta())
    following = due.timetable.next_place(due.next_run_at)
    await workflows.advance([Advance(TENANT, "a", 2, NOW + HOUR, following)])
    found = await stored_workflow(workflows, "a")
    again = redefine(found, first.definition, 3, NOW + HOUR)
    assert (again.next_run_at, again.holds) == (NOW + 2 * HOUR, {})
    assert await workflows.save(found, again) is True
    assert await stored_workflow(workflows, "a") == again


async def test_each_of_several_triggers_has_its_own_hold(workflows: WorkflowRepository) -> None:
    one, other = {**HOURLY, "id": "one"}, {"id": "other", "type": "periodic", "interval": "10s"}
    first = workflow("a", triggers=[one, other])
    await workflows.add(first)
    later = definition("a", triggers=[one, {**other, "jitter": "9s"}])
    changed = redefine(first, later, 2, NOW)
    assert [*changed.holds] == ["other"]
    assert await workflows.save(first, changed) is True
    assert await stored_workflow(workflows, "a") == changed
    assert await workflows.read_due([changed.key]) == due_workflows(changed)
    off = disable(changed, NOW)
    assert await workflows.save(changed, off) is True
    assert await stored_workflow(workflows, "a") == off


async def test_a_pause_reads_back_equal_until_it_ends(workflows: WorkflowRepository) -> None:
    periodic = workflow("p", interval="10s", pauseOnFailure=3)
    await workflows.add(periodic)
    halted = pause(periodic, Pause(NOW + SECOND, "moving house"))
    assert await workflows.save(periodic, halted)
    assert await stored_workflow(workflows, "p") == halted
    assert await workflows.due(NOW + 100 * SECOND, None, 10) == []
    assert await workflows.read_due([halted.key]) == []
    resumed, missed = resume(halted, NOW + 35 * SECOND)
    assert await workflows.save(halted, resumed)
    assert await stored_workflow(workflows, "p") == resumed
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
    assert await stored_workflow(workflows, "p") == second


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
    halted = await stored_workflow(workflows, "p")
    assert halted == pause(periodic, why)
    assert await workflows.pause(due, Pause(NOW, "again")) is False
    on, _ = resume(halted, NOW + 10 * SECOND)
    assert await workflows.save(halted, on)
    assert await workflows.pause(due, why) is False


def _tens(number: int) -> datetime:
    return NOW + number * 10 * SECOND
