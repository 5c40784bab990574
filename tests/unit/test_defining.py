"""Defining workflows over crashes: what was missed is recorded whole, and a change is seen."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import JsonValue

from shared.adapters.cel.language import CelLanguage
from shared.adapters.json_schema.validator import JsonSchemaValidator
from shared.adapters.memory.clock import ManualClock
from shared.adapters.memory.executions import MemoryExecutions
from shared.adapters.memory.workflows import MemoryWorkflows
from shared.domain.due import due_workflows
from shared.domain.errors import Unavailable
from shared.domain.execution import Skip, SkipReason
from shared.domain.occurrences import occurrence
from shared.domain.outcomes import Timing
from tests.support.builders import CATALOGUE, NOW, SECOND, TENANT
from workflows_svc.use_cases.definitions import DefineWorkflows

PERIODIC: dict[str, Any] = {
    "workflowId": "p",
    "trigger": {"type": "periodic", "interval": "10s"},
    "actions": [{"type": "log", "message": "x"}],
}


class Desk:
    """The use case in memory."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.executions = MemoryExecutions()
        self.workflows = MemoryWorkflows()
        self.define = DefineWorkflows(
            self.workflows,
            self.executions,
            CATALOGUE,
            JsonSchemaValidator(),
            self.clock,
            Timing(),
            lambda _: None,
            CelLanguage(),
            ("REGION",),
        )

    async def switch(self, *, enabled: bool) -> None:
        await self.define.set_enabled(TENANT, "p", enabled=enabled, if_match=None)

    def skips(self) -> list[Skip]:
        """Return what is recorded of instants that nothing ran for."""
        return [e.skip for e in self.executions._by_id.values() if e.skip]

    def recorded(self) -> list[datetime]:
        """Return every instant that is on record, as often as it is."""
        found: list[datetime] = []
        for execution in self.executions._by_id.values():
            skip = execution.skip
            if skip:
                found += [skip.first + n * 10 * SECOND for n in range(skip.count)]
            elif execution.scheduled_for:
                found.append(execution.scheduled_for)
        return sorted(found)


@pytest.fixture
async def desk() -> Desk:
    made = Desk()
    await made.define.create(TENANT, PERIODIC)
    return made


async def test_a_crash_while_enabling_loses_no_record_of_what_was_missed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: object) -> bool:
        raise Unavailable("MongoDB", "crash")

    await desk.switch(enabled=False)
    await desk.clock.advance(30 * SECOND)
    with monkeypatch.context() as patched:
        patched.setattr(desk.workflows, "save", crash)
        with pytest.raises(Unavailable):
            await desk.switch(enabled=True)
    await desk.clock.advance(timedelta(minutes=10))
    await desk.switch(enabled=True)
    assert desk.recorded() == [NOW + n * 10 * SECOND for n in range(1, 64)]


async def test_an_instant_that_fired_just_before_the_switch_is_not_missed(desk: Desk) -> None:
    workflow = await desk.define.get(TENANT, "p")
    (due,) = due_workflows(workflow)
    await desk.clock.advance(10 * SECOND)
    fired = occurrence(due, due.next_run_at, desk.clock.now(), Timing())
    await desk.executions.add([fired])
    await desk.switch(enabled=False)
    await desk.clock.advance(60 * SECOND)
    await desk.switch(enabled=True)
    assert desk.recorded() == [NOW + n * 10 * SECOND for n in range(1, 8)]


@pytest.mark.parametrize("limit", [1, 2])
async def test_a_fire_that_nobody_counted_yet_is_counted_at_the_switch(limit: int) -> None:
    desk = Desk()
    limited = {**PERIODIC["trigger"], "maxRuns": limit}
    created, _ = await desk.define.create(TENANT, {**PERIODIC, "trigger": limited})
    (due,) = due_workflows(created)
    await desk.clock.advance(10 * SECOND)
    fired = occurrence(due, due.next_run_at, desk.clock.now(), Timing())
    await desk.executions.add([fired])
    await desk.switch(enabled=False)
    await desk.clock.advance(15 * SECOND)
    await desk.switch(enabled=True)
    found = await desk.define.get(TENANT, "p")
    assert found.runs == {"periodic": 1}
    if limit == 1:
        assert (found.next_run_at, desk.skips()) == (None, [])
        return
    assert found.next_run_at == NOW + 30 * SECOND
    assert desk.skips() == [Skip(SkipReason.DISABLED, NOW + 20 * SECOND, NOW + 20 * SECOND, 1)]


async def test_a_new_trigger_records_what_the_old_one_left_undone(desk: Desk) -> None:
    await desk.clock.advance(35 * SECOND)
    await desk.define.replace(TENANT, "p", {**PERIODIC, "trigger": {"type": "manual"}}, None)
    assert desk.skips() == [Skip(SkipReason.SUPERSEDED, NOW + 10 * SECOND, NOW + 30 * SECOND, 3)]


async def test_a_new_trigger_of_a_disabled_workflow_records_what_it_slept_through(
    desk: Desk,
) -> None:
    await desk.switch(enabled=False)
    await desk.clock.advance(25 * SECOND)
    await desk.define.replace(TENANT, "p", {**PERIODIC, "trigger": {"type": "manual"}}, None)
    await desk.switch(enabled=True)
    assert desk.skips() == [Skip(SkipReason.DISABLED, NOW + 10 * SECOND, NOW + 20 * SECOND, 2)]


async def test_another_definition_with_the_same_trigger_leaves_overdue_instants_alone(
    desk: Desk,
) -> None:
    await desk.clock.advance(35 * SECOND)
    changed = await desk.define.replace(TENANT, "p", {**PERIODIC, "concurrency": 3}, None)
    assert desk.skips() == []
    assert changed.next_run_at == NOW + 10 * SECOND


async def test_an_instant_that_passes_while_off_is_recorded_though_none_follows(
    desk: Desk,
) -> None:
    once: JsonValue = {"type": "once", "at": "2026-01-01T00:00:20Z"}
    await desk.define.replace(TENANT, "p", {**PERIODIC, "trigger": once}, None)
    await desk.switch(enabled=False)
    await desk.clock.advance(60 * SECOND)
    await desk.switch(enabled=True)
    instant = NOW + 20 * SECOND
    assert desk.skips() == [Skip(SkipReason.DISABLED, instant, instant, 1)]
    assert (await desk.define.get(TENANT, "p")).next_run_at is None


async def test_true_and_1_are_different_definitions() -> None:
    desk = Desk()

    def sending(value: object) -> Any:
        action = {"type": "http-request", "url": "http://x/", "body": {"on": value}}
        return {**PERIODIC, "actions": [action]}

    await desk.define.create(TENANT, sending(1))
    changed = await desk.define.replace(TENANT, "p", sending(True), None)
    assert changed.version == 2
