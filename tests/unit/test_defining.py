"""Defining workflows over crashes: what was missed is recorded whole, and a change is seen."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.adapters.cel.language import CelLanguage
from shared.adapters.json_schema.validator import JsonSchemaValidator
from shared.adapters.memory.clock import ManualClock
from shared.adapters.memory.executions import MemoryExecutions
from shared.adapters.memory.workflows import MemoryWorkflows
from shared.domain.errors import Unavailable
from shared.domain.occurrences import occurrence
from shared.domain.outcomes import Timing
from shared.domain.workflow import due_workflow
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
    due = due_workflow(workflow)
    assert due is not None
    await desk.clock.advance(10 * SECOND)
    fired = occurrence(due, due.next_run_at, desk.clock.now(), Timing())
    await desk.executions.add([fired])
    await desk.switch(enabled=False)
    await desk.clock.advance(60 * SECOND)
    await desk.switch(enabled=True)
    assert desk.recorded() == [NOW + n * 10 * SECOND for n in range(1, 8)]


async def test_true_and_1_are_different_definitions() -> None:
    desk = Desk()

    def sending(value: object) -> Any:
        action = {"type": "http-request", "url": "http://x/", "body": {"on": value}}
        return {**PERIODIC, "actions": [action]}

    await desk.define.create(TENANT, sending(1))
    changed = await desk.define.replace(TENANT, "p", sending(True), None)
    assert changed.version == 2
