"""Whatever happens to a schedule, and in which order: each of its instants has one outcome."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import WorkflowDisabled
from shared.domain.execution import Execution
from shared.domain.workflow import Workflow
from shared.ports.workflows import Upcoming
from tests.support.builders import NOW, SECOND, TENANT
from tests.unit.desk import Desk, broken, log
from tests.unit.doubles import FlakyBus, firing

Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            (
                "wait",
                "fire",
                "end",
                "fail",
                "pause",
                "resume",
                "disable",
                "enable",
                "edit",
                "retime",
            )
        ),
        st.integers(1, 60),
    ),
    max_size=40,
)


class Office(Desk):
    """The desk and a scheduler on one storage; `grids` are the timetables one after the other."""

    def __init__(self) -> None:
        super().__init__()
        bus = FlakyBus(self.clock)
        self.scheduler = firing(self.workflows, self.executions, bus, self.clock)
        self.grids: list[tuple[datetime, int]] = []
        self.edits = 0

    async def do(self, step: str, number: int) -> None:
        """Let one thing happen; what is refused as it makes no sense changes nothing."""
        match step:
            case "wait":
                await self.clock.advance(timedelta(seconds=number))
            case "fire":
                await self.fire()
            case "end" | "fail":
                await self.end({"a": broken()} if step == "fail" else {})
            case "pause" | "resume":
                await self.command(step)
            case "disable" | "enable":
                await self.switch(enabled=step == "enable")
            case _:
                await self.define_as(self.grids[-1][1] if step == "edit" else number)

    async def workflow(self) -> Workflow:
        return await self.define.get(TENANT, "hello")

    async def fire(self) -> None:
        due = await self.workflows.due(self.clock.now(), None, 10)
        await self.scheduler([Upcoming(u.tenant, u.workflow_id, u.next_run_at) for u in due])

    async def end(self, outcomes: dict[str, Any]) -> None:
        held = await self.executions.active(["default:hello"])
        for execution in held.values():
            await self.run(execution.id, outcomes)

    async def command(self, step: str) -> None:
        try:
            if step == "pause":
                await self.define.pause(TENANT, "hello", "r")
            else:
                await self.define.resume(TENANT, "hello")
        except WorkflowDisabled:
            assert not (await self.workflow()).enabled

    async def switch(self, *, enabled: bool) -> None:
        await self.define.set_enabled(TENANT, "hello", enabled=enabled, if_match=None)

    async def define_as(self, interval: int) -> None:
        """Give the workflow another definition; its grid starts anew only with its interval."""
        self.edits += 1
        document: dict[str, Any] = {
            "workflowId": "hello",
            "trigger": {"type": "periodic", "interval": f"{interval}s"},
            "actions": [log("a", message=f"{self.edits}")],
            "pauseOnFailure": 2,
        }
        if not self.grids:
            await self.define.create(TENANT, document)
        else:
            await self.define.replace(TENANT, "hello", document, None)
        if not self.grids or self.grids[-1][1] != interval:
            self.grids.append((self.clock.now(), interval))

    async def settle(self) -> None:
        """Let all that is open come to its end; the first fire may find too many failures."""
        for _ in range(2):
            await self.end({})
            await self.switch(enabled=True)
            await self.fire()

    def expected(self, until: datetime) -> list[datetime]:
        """Return each instant before `until`, by the grid that was there at it."""
        ends = [*(since for since, _ in self.grids[1:]), until - SECOND / 1000]
        found = []
        for (since, interval), end in zip(self.grids, ends, strict=True):
            steps = (end - since) // (interval * SECOND)
            found += [since + n * interval * SECOND for n in range(1, steps + 1)]
        return found

    def recorded(self) -> list[datetime]:
        return sorted(at for e in self.executions.stored() for at in self._instants(e))

    def _instants(self, record: Execution) -> list[datetime]:
        if record.scheduled_for is None:
            return []
        if record.skip is None or record.skip.count == 1:
            return [record.scheduled_for]
        step = (record.skip.last - record.skip.first) / (record.skip.count - 1)
        return [record.skip.first + n * step for n in range(record.skip.count)]


@given(STEPS)
def test_each_instant_has_one_outcome_whatever_happens(steps: list[Step]) -> None:
    async def live() -> None:
        office = Office()
        await office.define_as(10)
        for step, number in steps:
            await office.do(step, number)
        await office.settle()
        following = (await office.workflow()).next_run_at
        assert following is not None
        assert office.recorded() == office.expected(following)
        assert following > office.clock.now() >= NOW

    asyncio.run(live())
