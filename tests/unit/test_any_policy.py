"""Whatever happens under whatever overlap policy, each instant has one outcome.

Several triggers share a workflow whose policy is edited while schedulers die at any of
their writes, executions end, fail, are cancelled and retried, and the schedule is paused,
switched off and on.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_svc.use_cases.fire import FireDueWorkflows
from shared.adapters.memory.clock import ManualClock
from shared.domain import transitions
from shared.domain.errors import Conflict, Unavailable
from shared.domain.execution import HOLDING, UNFINISHED, Execution, Status
from shared.domain.fold import differences
from shared.domain.identity import number_in
from shared.domain.occurrences import counts
from shared.domain.overlap import MAX_BUFFERED, OverlapPolicy
from shared.domain.workflow import Workflow
from shared.ports.executions import Change
from shared.use_cases.buffers import ServeBuffer, WorkflowRef
from tests.support.builders import SECOND, TENANT
from tests.unit.desk import Desk, broken, log, undone
from tests.unit.doubles import Faults, FaultyExecutions, FaultyWorkflows, FlakyBus, firing
from tests.unit.rivals import FAULTS, HELLO
from workflows_svc.use_cases.definitions import DefineWorkflows

Json = dict[str, Any]
Members = dict[str, Any]

POLICIES: Final[list[Members]] = [
    {},
    {"maxConcurrent": 2},
    {"overlap": "allow", "maxConcurrent": 3},
    {"overlap": "buffer-one"},
    {"overlap": "buffer-one", "maxConcurrent": 2},
    {"overlap": "buffer-all", "maxBuffered": 3},
    {"overlap": "cancel-running"},
]
CATCH_UPS: Final[list[Members]] = [
    {},
    {"maxRuns": 4},
    {"catchUp": "all"},
    {"catchUp": "all", "maxRuns": 3},
    {"catchUp": "all", "catchUpWindow": "35s"},
    {"catchUp": "none"},
]
PHASED: Final[Json] = {"type": "periodic", "phase": "0s"}
WORKFLOW: Final = WorkflowRef(TENANT, "hello")


class Life:
    """A workflow with two triggers, and all that can happen to it."""

    def __init__(self, catch_ups: tuple[Members, Members], lead: int) -> None:
        self.desk = Desk()
        self.began, self.lead = self.desk.clock.now(), timedelta(seconds=lead)
        one, other = catch_ups
        self.triggers = [
            {**PHASED, "id": "one", "interval": "10s", **one},
            {**PHASED, "id": "other", "interval": "20s", **other},
        ]
        self._texts = count()

    def document(self, members: Members) -> Json:
        actions = [undone("a", message=str(next(self._texts))), log("b")]
        return {"workflowId": "hello", "triggers": self.triggers, "actions": actions, **members}

    @property
    def workflow(self) -> Workflow:
        return self.desk.workflows._by_key[WORKFLOW.key]

    @property
    def policy(self) -> OverlapPolicy:
        return self.workflow.policy

    @property
    def all(self) -> list[Execution]:
        return sorted(self.desk.executions.stored(), key=lambda e: e.age)

    def holding(self) -> list[Execution]:
        return [e for e in self.all if e.status in HOLDING]

    def waiting(self) -> list[Execution]:
        """Return what waits; nobody backfills here."""
        return [e for e in self.all if e.status is Status.BUFFERED]

    def some(self, choice: int, *statuses: Status) -> Execution | None:
        found = [e for e in self.all if e.status in statuses]
        return found[choice % len(found)] if found else None

    def scheduler(self, faults: Faults, behind: int = 0) -> FireDueWorkflows:
        clock = ManualClock(self.desk.clock.now() - behind * SECOND)
        workflows = FaultyWorkflows(self.desk.workflows, faults)
        executions = FaultyExecutions(self.desk.executions, faults)
        return firing(workflows, executions, FlakyBus(clock), clock, lead=self.lead)

    def look(self, faults: Faults, behind: int = 0) -> Awaitable[object]:
        return self.scheduler(faults, behind)([HELLO])

    def serve(self, faults: Faults) -> Awaitable[object]:
        workflows = FaultyWorkflows(self.desk.workflows, faults)
        executions = FaultyExecutions(self.desk.executions, faults)
        return ServeBuffer(workflows, executions, self.desk.clock, self.desk.timing)(WORKFLOW)

    def define(self, faults: Faults) -> DefineWorkflows:
        workflows = FaultyWorkflows(self.desk.workflows, faults)
        executions = FaultyExecutions(self.desk.executions, faults)
        return replace(self.desk.define, workflows=workflows, executions=executions)

    async def crash(self) -> None:
        """Let runners go down: what they had is given back."""
        for running in [e for e in self.all if e.status is Status.RUNNING]:
            released = transitions.release(running, self.desk.clock.now())
            await self.desk.executions.record([Change(running, released)])

    async def end(self, choice: int, *, well: bool = True) -> None:
        """Run something that is queued to its end."""
        if queued := self.some(choice, Status.QUEUED):
            await self.desk.run(queued.id, {} if well else {"ab"[choice % 2]: broken()})

    async def step(self, step: "Step") -> None:
        """Take a step, and check what it may have led to."""
        held, waited, policy = self.holding(), self.waiting(), self.policy
        await step(self)
        self.check(held, waited, (policy, self.policy))

    def check(
        self, held: list[Execution], waited: list[Execution], policies: tuple[OverlapPolicy, ...]
    ) -> None:
        """Nobody gets in where neither of the policies in force meanwhile has room for it."""
        holding, waiting = self.holding(), self.waiting()
        assert len({e.active_key for e in holding}) == len(holding)
        if {e.id for e in holding} - {e.id for e in held}:
            assert len(holding) <= max(policy.slots for policy in policies)
        if {e.id for e in waiting} - {e.id for e in waited}:
            assert len(waiting) <= max(policy.places for policy in policies)
        assert all(number_in(e.buffer_key or "")[1] < MAX_BUFFERED for e in waiting)
        assert [e.id for e in self.all if differences(e)] == []

    async def settle(self) -> None:
        """Let everything come to rest: enabled, nothing broken, nothing running for long."""
        await self.desk.define.set_enabled(TENANT, "hello", enabled=True, if_match=None)
        for _ in range(300):
            await self.step(lambda life: life.look(Faults()))
            await self.step(lambda life: life.serve(Faults()))
            await self.crash()
            await self.end(0)
            at, now = self.workflow.next_run_at, self.desk.clock.now()
            if not self.some(0, *UNFINISHED) and (at is None or at > now):
                return
        raise AssertionError("something never ends")

    def check_outcomes(self) -> None:
        """Each instant of each trigger is on one record."""
        assert sum(len(self.records(each["id"])) for each in self.triggers) == len(
            [e for e in self.all if e.scheduled_for]
        )
        for trigger in self.triggers:
            every = int(trigger["interval"].removesuffix("s")) * SECOND
            records = self.records(trigger["id"])
            covered = [at for record in records for at in span(record, every)]
            assert covered == self.ideal(trigger, every, records)

    def records(self, trigger_id: str) -> list[Execution]:
        own = [e for e in self.all if e.scheduled_for and e.trigger_id == trigger_id]
        return sorted(own, key=at_of)

    def ideal(self, trigger: Json, every: timedelta, records: list[Execution]) -> list[datetime]:
        """Return the instants that are to be on record, worked out by adding up."""
        fires, limit = [at_of(e) for e in records if counts(e)], trigger.get("maxRuns")
        until = max([self.desk.clock.now(), *fires])
        if limit is not None:
            assert len(fires) <= limit
            assert self.workflow.runs.get(trigger["id"], 0) == len(fires)
            until = fires[-1] if len(fires) == limit else until
        assert until <= self.desk.clock.now() + self.lead
        return [self.began + n * every for n in range(1, (until - self.began) // every + 1)]


def at_of(record: Execution) -> datetime:
    assert record.scheduled_for is not None
    return record.scheduled_for


def span(record: Execution, every: timedelta) -> list[datetime]:
    """Return the instants that a record stands for."""
    instants = record.skip.count if record.skip else 1
    found = [at_of(record) + n * every for n in range(instants)]
    assert record.skip is None or (record.skip.first, record.skip.last) == (found[0], found[-1])
    return found


Step = Callable[[Life], Awaitable[object]]


async def together(*doings: Awaitable[object]) -> None:
    """Let several do something at once; any may die of a fault, or be refused."""
    for result in await asyncio.gather(*doings, return_exceptions=True):
        if isinstance(result, BaseException) and not isinstance(result, Unavailable | Conflict):
            raise result


def passing(seconds: int) -> Step:
    return lambda life: life.desk.clock.advance(seconds * SECOND)


def looking(faults: Faults, others: Faults, behind: int, serves: Faults | None) -> Step:
    def step(life: Life) -> Awaitable[object]:
        served = [life.serve(serves)] if serves else []
        return together(life.look(faults), life.look(others, behind), *served)

    return step


def ending(choice: int, well: bool) -> Step:
    return lambda life: life.end(choice, well=well)


def claiming(choice: int) -> Step:
    async def step(life: Life) -> None:
        if queued := life.some(choice, Status.QUEUED):
            await life.desk.claimed(queued.id)

    return step


def operating(name: str, choice: int, faults: Faults) -> Step:
    """Let an operator do something while a scheduler serves the buffer."""

    async def step(life: Life) -> None:
        desk = life.desk
        doings: list[Awaitable[object]] = [life.serve(faults)]
        if name == "trigger":
            doings.append(desk.trigger(TENANT, "hello", None, None))
        elif name == "retry" and (failed := life.some(choice, Status.FAILED)):
            doings.append(desk.retry(TENANT, failed.id))
        elif name == "cancel" and (unfinished := life.some(choice, *sorted(UNFINISHED))):
            doings.append(desk.cancel(TENANT, unfinished.id))
        await together(*doings)

    return step


def defining(name: str, members: Members, faults: Faults, looks: Faults) -> Step:
    """Let somebody change the workflow while a scheduler looks at it."""

    async def step(life: Life) -> None:
        define = life.define(faults)
        changing: Awaitable[object]
        match name:
            case "pause":
                changing = define.pause(TENANT, "hello", "moving house")
            case "resume":
                changing = define.resume(TENANT, "hello")
            case "edit":
                changing = define.replace(TENANT, "hello", life.document(members), None)
            case _:
                on = name == "on"
                changing = define.set_enabled(TENANT, "hello", enabled=on, if_match=None)
        await together(changing, life.look(looks))

    return step


CHOICES = st.integers(0, 9)
CHANGES = ["pause", "resume", "off", "on", "edit", "edit", "edit"]
STEP = st.one_of(
    st.builds(passing, st.integers(1, 25)),
    st.builds(passing, st.integers(1, 25)),
    st.builds(passing, st.integers(60, 200)),
    st.builds(looking, FAULTS, FAULTS, st.integers(0, 20), st.none() | FAULTS),
    st.builds(looking, FAULTS, FAULTS, st.integers(0, 20), st.none() | FAULTS),
    st.builds(ending, CHOICES, st.booleans()),
    st.builds(claiming, CHOICES),
    st.just(Life.crash),
    st.builds(operating, st.sampled_from(["trigger", "retry", "cancel"]), CHOICES, FAULTS),
    st.builds(defining, st.sampled_from(CHANGES), st.sampled_from(POLICIES), FAULTS, FAULTS),
)


@settings(max_examples=200)
@given(
    st.sampled_from(POLICIES),
    st.tuples(st.sampled_from(CATCH_UPS), st.sampled_from(CATCH_UPS)),
    st.lists(STEP, min_size=5, max_size=20),
    st.sampled_from([0, 5]),
)
async def test_each_instant_has_one_outcome_and_the_policy_is_kept(
    members: Members, catch_ups: tuple[Members, Members], steps: list[Step], lead: int
) -> None:
    life = Life(catch_ups, lead)
    await life.desk.define.create(TENANT, life.document(members))
    for step in steps:
        await life.step(step)
    await life.settle()
    assert await life.desk.executions.orphans() == 0
    life.check_outcomes()
