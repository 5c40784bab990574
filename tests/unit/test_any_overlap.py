"""Whatever happens in whatever order, an overlap policy keeps its promise."""

import asyncio
from itertools import count
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain import transitions
from shared.domain.errors import Conflict, WorkflowBusy
from shared.domain.execution import HOLDING, UNFINISHED, Execution, Status
from shared.domain.fold import differences
from shared.domain.identity import number_in
from shared.domain.overlap import Overlap, OverlapPolicy
from shared.ports.executions import Change
from shared.use_cases.buffers import ServeBuffer, WorkflowRef
from tests.support.builders import TENANT
from tests.unit.desk import Desk, log, undone

POLICIES: Final[list[dict[str, Any]]] = [
    {},
    {"maxConcurrent": 2},
    {"overlap": "allow", "maxConcurrent": 3},
    {"overlap": "buffer-one"},
    {"overlap": "buffer-one", "maxConcurrent": 2},
    {"overlap": "buffer-all", "maxBuffered": 3},
    {"overlap": "cancel-running"},
]
STEPS = ["trigger", "trigger", "trigger", "claim", "end", "end", "cancel", "serve", "crash"]


class World:
    """A workflow, and everything that may happen to its executions."""

    def __init__(self, members: dict[str, Any]) -> None:
        self.desk = Desk()
        self.members = members
        self.tokens = count()
        self.accepted: list[str] = []
        self.serve = ServeBuffer(
            self.desk.workflows, self.desk.executions, self.desk.clock, self.desk.timing
        )

    async def start(self) -> None:
        await self.desk.create(undone("a"), log("b"), **self.members)

    @property
    def all(self) -> list[Execution]:
        return sorted(self.desk.executions._by_id.values(), key=lambda e: e.age)

    def some(self, choice: int, *statuses: Status) -> Execution | None:
        found = [e for e in self.all if e.status in statuses]
        return found[choice % len(found)] if found else None

    async def step(self, name: str, choice: int) -> None:
        """Do something, to some execution it can be done to; time passes."""
        await self.desk.tick()
        match name:
            case "trigger":
                await self.trigger()
            case "serve":
                await self.serve(WorkflowRef(TENANT, "hello"))
            case "crash" if running := self.some(choice, Status.RUNNING):
                released = transitions.release(running, self.desk.clock.now())
                await self.desk.executions.record([Change(running, released)])
            case "claim" if queued := self.some(choice, Status.QUEUED):
                await self.desk.claimed(queued.id)
            case "end" if queued := self.some(choice, Status.QUEUED):
                await self.desk.run(queued.id)
            case "cancel" if unfinished := self.some(choice, *sorted(UNFINISHED)):
                await self.try_to(self.desk.cancel(TENANT, unfinished.id))
            case _:
                return

    async def trigger(self) -> None:
        anybody_waits = any(e.status is Status.BUFFERED for e in self.all)
        try:
            execution, _ = await self.desk.trigger(TENANT, "hello", None, None)
        except WorkflowBusy:
            assert self.policy.overlap is not Overlap.CANCEL_RUNNING
        else:
            self.accepted.append(execution.id)
            assert not anybody_waits or execution.status is Status.BUFFERED

    async def try_to(self, doing: Any) -> None:
        try:
            await doing
        except Conflict:
            return

    @property
    def policy(self) -> OverlapPolicy:
        (workflow,) = self.desk.workflows._by_key.values()
        return workflow.definition.overlap_policy

    async def check(self) -> None:
        """Check what holds at any time."""
        holding = [e for e in self.all if e.status in HOLDING]
        waiting = [e for e in self.all if e.status is Status.BUFFERED]
        slots = {number_in(e.active_key or "")[1] for e in holding}
        assert len(slots) == len(holding) <= self.policy.slots
        assert len(waiting) <= self.policy.places
        assert await self.desk.executions.orphans() == 0
        assert [e.id for e in self.all if differences(e)] == []
        assert {e.id for e in self.all} == set(self.accepted)

    async def settle(self) -> None:
        """Let all that is unfinished end, as long as it takes."""
        for _ in range(100):
            await self.step("serve", 0)
            for execution in self.all:
                if execution.status is Status.RUNNING:
                    await self.step("crash", 0)
            if not self.some(0, *sorted(UNFINISHED)):
                return
            await self.step("end", 0)
            await self.check()
        raise AssertionError("something never ends")


def turns(executions: list[Execution]) -> list[Execution]:
    """Return those that were promoted, in the order in which they were."""
    told = [(e.history[1].at, e) for e in executions if len(e.history) > 1]
    promoted = [found for found in told if found[1].history[1].type.value == "promoted"]
    return [e for _, e in sorted(promoted, key=lambda found: found[0])]


@given(
    members=st.sampled_from(POLICIES),
    steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 9)), min_size=20, max_size=40),
)
@settings(max_examples=300)
def test_whatever_happens_the_policy_is_kept_and_everything_ends(
    members: dict[str, Any], steps: list[tuple[str, int]]
) -> None:
    async def live() -> World:
        world = World(members)
        await world.start()
        for name, choice in steps:
            await world.step(name, choice)
            await world.check()
        await world.settle()
        return world

    world = asyncio.run(live())
    promoted = turns(world.all)
    assert promoted == sorted(promoted, key=lambda e: e.age)
    skipped = [e for e in world.all if e.status is Status.SKIPPED]
    assert not skipped or world.policy.replaces
    if world.policy.replaces and world.all:
        assert world.all[-1].status is not Status.SKIPPED
