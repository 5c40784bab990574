"""Letting buffered executions of many workflows go on: side by side, and each by itself."""

import asyncio
from collections.abc import Collection, Mapping

import pytest

from scheduler_svc.use_cases.promote import PromoteBuffered
from shared.adapters.memory.clock import ManualClock
from shared.adapters.memory.executions import MemoryExecutions
from shared.adapters.memory.workflows import MemoryWorkflows
from shared.domain import transitions
from shared.domain.errors import Unavailable
from shared.domain.overlap import Crowd
from shared.use_cases.buffers import WorkflowRef
from tests.support.builders import TENANT, queued, workflow
from tests.unit.doubles import FlakyBus, promoting

NAMES = ("a", "b", "c")
REFS = [WorkflowRef(TENANT, name) for name in NAMES]
PATIENCE = 10
"""Seconds; as long as nothing is wrong, nobody waits for them."""


class Meeting(MemoryExecutions):
    """Tells nobody who waits until all have asked; of one workflow it cannot tell."""

    def __init__(self, broken: str | None = None) -> None:
        super().__init__()
        self.asked: set[str] = set()
        self.all_there = asyncio.Event()
        self.broken = broken

    async def crowds(self, workflow_keys: Collection[str]) -> Mapping[str, Crowd]:
        self.asked |= {*workflow_keys}
        if len(self.asked) == len(NAMES):
            self.all_there.set()
        await asyncio.wait_for(self.all_there.wait(), PATIENCE)
        if self.broken in workflow_keys:
            raise Unavailable("mongodb", "it went away")
        return await super().crowds(workflow_keys)


async def promoter(executions: Meeting, bus: FlakyBus, clock: ManualClock) -> PromoteBuffered:
    workflows = MemoryWorkflows()
    for name in NAMES:
        await workflows.add(workflow(name, overlap="buffer-all"))
        await executions.add([transitions.buffer(queued("1", name), 0)])
    return promoting(workflows, executions, bus, clock)


async def test_the_buffers_of_many_workflows_are_served_side_by_side() -> None:
    clock = ManualClock()
    bus = FlakyBus(clock)
    promote = await promoter(Meeting(), bus, clock)
    await promote(REFS)
    assert bus.sent_ids() == [f"default:{name}:manual:1" for name in NAMES]


async def test_one_that_cannot_be_served_keeps_no_other_from_going_on() -> None:
    clock = ManualClock()
    bus = FlakyBus(clock)
    promote = await promoter(Meeting(broken="default:b"), bus, clock)
    with pytest.raises(Unavailable):
        await promote(REFS)
    assert bus.sent_ids() == [f"default:{name}:manual:1" for name in ("a", "c")]
