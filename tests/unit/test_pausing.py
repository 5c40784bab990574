"""Halting a schedule and letting it go on: every instant has its one record."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.domain.due import DueWorkflow, due_workflows
from shared.domain.errors import InvalidInput, NotFound, Unavailable, WorkflowDisabled
from shared.domain.execution import Skip, SkipReason, Status
from shared.domain.occurrences import occurrence
from shared.domain.pause import Pause
from shared.domain.workflow import Workflow
from shared.ports.workflows import Advance
from tests.support.builders import NOW, SECOND, TENANT
from tests.unit.desk import Desk, log
from workflows_svc.api.bodies import pause_body

EVERY_TEN = {"type": "periodic", "interval": "10s"}
WHY = "moving house"


def after(seconds: int) -> datetime:
    return NOW + seconds * SECOND


class Ledger(Desk):
    """The desk with a periodic workflow."""

    async def pass_time(self, seconds: int) -> None:
        await self.clock.advance(timedelta(seconds=seconds))

    async def workflow(self) -> Workflow:
        found = await self.workflows.get(TENANT, "hello")
        assert found is not None
        return found

    async def pause(self, reason: str = WHY) -> Workflow:
        return await self.define.pause(TENANT, "hello", reason)

    async def resume(self) -> Workflow:
        return await self.define.resume(TENANT, "hello")

    async def switch(self, *, enabled: bool) -> None:
        await self.define.set_enabled(TENANT, "hello", enabled=enabled, if_match=None)

    async def advance(self, due: DueWorkflow, following: datetime) -> None:
        """Do what the scheduler does after a fire."""
        move = Advance(TENANT, "hello", due.version, due.next_run_at, following)
        await self.workflows.advance([move])

    def skips(self) -> list[Skip]:
        return [e.skip for e in self.executions.stored() if e.skip]


@pytest.fixture
async def desk() -> Ledger:
    made = Ledger()
    await made.create(log("a"), trigger=EVERY_TEN)
    return made


async def test_a_paused_workflow_is_due_at_no_time_and_says_since_when_and_why(
    desk: Ledger,
) -> None:
    await desk.pass_time(5)
    paused = await desk.pause()
    assert (paused.enabled, paused.paused) == (False, Pause(after(5), WHY))
    assert paused.next_run_at == after(10)
    assert await desk.workflows.due(after(1000), None, 10) == []
    assert await desk.workflows.read_due([paused.key]) == []


async def test_pausing_twice_keeps_the_first_pause(desk: Ledger) -> None:
    first = await desk.pause()
    await desk.pass_time(5)
    assert await desk.pause("another") == first


async def test_after_a_short_pause_the_schedule_goes_on_as_if_nothing_had_happened(
    desk: Ledger,
) -> None:
    await desk.pause()
    await desk.pass_time(9)
    resumed = await desk.resume()
    assert (resumed.enabled, resumed.paused, resumed.resumed_at) == (True, None, after(9))
    assert resumed.next_run_at == after(10)
    assert desk.skips() == []


async def test_the_latest_instant_of_a_pause_is_due_and_the_others_are_skipped(
    desk: Ledger,
) -> None:
    await desk.pass_time(5)
    await desk.pause()
    await desk.pass_time(40)
    resumed = await desk.resume()
    assert resumed.next_run_at == after(40)
    pause = Pause(after(5), WHY)
    assert desk.skips() == [Skip(SkipReason.PAUSED, after(10), after(30), 3, pause)]


async def test_what_is_recorded_as_skipped_is_counted_once(desk: Ledger) -> None:
    counted: list[Skip] = []
    desk.define = replace(desk.define, count_skipped=counted.append)
    for _ in range(2):
        await desk.pause()
        await desk.pass_time(25)
        await desk.resume()
    assert counted == desk.skips()
    assert [skip.count for skip in counted] == [1, 3]


async def test_resuming_twice_changes_nothing_more(desk: Ledger) -> None:
    await desk.pause()
    await desk.pass_time(40)
    first = await desk.resume()
    await desk.pass_time(40)
    assert await desk.resume() == first
    assert len(desk.skips()) == 1


async def test_a_crash_while_resuming_loses_and_doubles_no_record(
    desk: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: object) -> bool:
        raise Unavailable("MongoDB", "crash")

    await desk.pause()
    await desk.pass_time(45)
    with monkeypatch.context() as patched:
        patched.setattr(desk.workflows, "save", crash)
        with pytest.raises(Unavailable):
            await desk.resume()
    assert (await desk.workflow()).paused
    await desk.pass_time(30)
    assert (await desk.resume()).next_run_at == after(70)
    assert [(s.first, s.last, s.count) for s in desk.skips()] == [
        (after(10), after(30), 3),
        (after(40), after(60), 3),
    ]


@pytest.mark.parametrize("window", [{}, {"catchUpWindow": "25s"}])
async def test_what_a_crash_while_switching_off_left_on_record_never_fires(
    window: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: object) -> bool:
        raise Unavailable("MongoDB", "crash")

    desk = Ledger()
    await desk.create(log("a"), trigger={**EVERY_TEN, **window})
    await desk.pause()
    await desk.pass_time(95)
    with monkeypatch.context() as patched:
        patched.setattr(desk.workflows, "save", crash)
        with pytest.raises(Unavailable):
            await desk.switch(enabled=False)
    assert (await desk.resume()).next_run_at == after(100)
    assert [(s.first, s.last, s.count) for s in desk.skips()] == [(after(10), after(90), 9)]


async def test_what_fired_as_it_was_paused_is_not_recorded_again(desk: Ledger) -> None:
    (before,) = due_workflows(await desk.workflow())
    await desk.pause()
    await desk.executions.add([occurrence(before, after(10), after(10), desk.timing)])
    await desk.pass_time(45)
    await desk.resume()
    assert [(s.first, s.last, s.count) for s in desk.skips()] == [(after(20), after(30), 2)]


async def test_a_pause_leaves_what_runs_alone(desk: Ledger) -> None:
    running = await desk.triggered()
    await desk.pause()
    assert (await desk.stored(running)).status is Status.QUEUED
    assert (await desk.run(running)).status is Status.COMPLETED


async def test_a_paused_workflow_can_be_run_by_hand_and_a_disabled_one_cannot(
    desk: Ledger,
) -> None:
    await desk.pause()
    ran = await desk.run(await desk.triggered())
    assert ran.status is Status.COMPLETED
    await desk.repeat(TENANT, ran.id, action=None, edited=None, idempotency_key=None)
    await desk.switch(enabled=False)
    with pytest.raises(WorkflowDisabled):
        await desk.triggered()


async def test_what_is_disabled_is_neither_paused_nor_resumed(desk: Ledger) -> None:
    await desk.switch(enabled=False)
    for command in (desk.pause, desk.resume):
        with pytest.raises(WorkflowDisabled):
            await command()
    with pytest.raises(NotFound):
        await desk.define.pause(TENANT, "none", WHY)


async def test_disabling_a_paused_workflow_records_the_pause_until_then(desk: Ledger) -> None:
    await desk.pause()
    await desk.pass_time(25)
    await desk.switch(enabled=False)
    off = await desk.workflow()
    assert (off.enabled, off.paused, off.next_run_at) == (False, None, after(30))
    await desk.pass_time(20)
    await desk.switch(enabled=True)
    found = [(skip.reason, skip.first, skip.count) for skip in desk.skips()]
    assert found == [(SkipReason.PAUSED, after(10), 2), (SkipReason.DISABLED, after(30), 2)]
    assert (await desk.workflow()).next_run_at == after(50)


async def test_enabling_a_paused_workflow_resumes_it(desk: Ledger) -> None:
    await desk.pause()
    await desk.pass_time(25)
    await desk.switch(enabled=True)
    on = await desk.workflow()
    assert (on.enabled, on.paused, on.next_run_at) == (True, None, after(20))
    assert [skip.reason for skip in desk.skips()] == [SkipReason.PAUSED]


async def test_a_new_trigger_leaves_the_pause_and_records_what_passed_in_it(desk: Ledger) -> None:
    await desk.pause()
    await desk.pass_time(25)
    document: dict[str, Any] = {
        "workflowId": "hello",
        "trigger": {"type": "periodic", "interval": "1m"},
        "actions": [log("a")],
    }
    changed = await desk.define.replace(TENANT, "hello", document, None)
    assert (changed.enabled, changed.paused) == (False, Pause(NOW, WHY))
    assert [(s.reason, s.first, s.count) for s in desk.skips()] == [
        (SkipReason.PAUSED, after(10), 2)
    ]
    assert (await desk.resume()).next_run_at == after(85)


async def test_a_hundred_pauses_in_a_row_leave_each_instant_one_record(desk: Ledger) -> None:
    for _ in range(100):
        await desk.pause()
        await desk.pass_time(7)
        on = await desk.resume()
        (due,) = due_workflows(on)
        if due.next_run_at <= desk.clock.now():
            ran = occurrence(due, due.next_run_at, desk.clock.now(), desk.timing)
            await desk.executions.add([ran.evolve(active_key=None)])
            following = due.timetable.next_after(due.next_run_at)
            assert following is not None
            await desk.advance(due, following)
    recorded = sorted(
        instant
        for e in desk.executions.stored()
        for instant in (
            [e.skip.first + n * 10 * SECOND for n in range(e.skip.count)]
            if e.skip
            else [e.scheduled_for]
        )
        if instant
    )
    assert recorded == [after(10 * n) for n in range(1, 71)]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (None, ""),
        ({}, "/reason"),
        ({"reason": ""}, "/reason"),
        ({"reason": "x" * 501}, "/reason"),
        ({"reason": 1}, "/reason"),
        ({"reason": "\ud800"}, "/reason"),
        ({"reason": "r", "until": "tomorrow"}, "/until"),
    ],
)
def test_a_pause_without_a_proper_reason_is_refused_with_the_place(body: Any, pointer: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        pause_body(body)
    assert [problem.pointer for problem in refused.value.problems] == [pointer]
