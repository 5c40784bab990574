"""Whatever happens in whatever order, every instant ends up with one outcome, as was promised.

Time passes, schedulers die at any of their writes, a second one joins with a clock that
is behind, the workflow is paused, resumed, disabled, enabled and edited, and nobody is
there for hours.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler_svc.use_cases.fire import FireDueWorkflows
from shared.adapters.cel.language import CelLanguage
from shared.adapters.json_schema.validator import JsonSchemaValidator
from shared.adapters.memory.clock import ManualClock
from shared.adapters.memory.executions import MemoryExecutions
from shared.adapters.memory.workflows import MemoryWorkflows
from shared.domain.errors import Unavailable, WorkflowDisabled
from shared.domain.execution import Execution, Status
from shared.domain.jitter import delay_of
from shared.domain.outcomes import Timing
from shared.domain.schedule import MOST_TO_CATCH_UP
from shared.domain.triggers import (
    ForeignTrigger,
)
from shared.domain.workflow import Workflow
from shared.ports.workflows import Upcoming
from tests.support.builders import CATALOGUE, NOW, SECOND, TENANT
from tests.unit.doubles import (
    Faults,
    FaultyExecutions,
    FaultyWorkflows,
    FlakyBus,
    firing,
)
from tests.unit.eras import Era, Policy, at_of, check_promises, span_of, timetable_in
from tests.unit.rivals import FAULTS
from workflows_svc.use_cases.definitions import DefineWorkflows

HELLO = Upcoming(TENANT, "hello", NOW)
REFUSALS = (Unavailable, WorkflowDisabled)
"""What may come of it: a death at a write; and what is disabled is neither paused nor resumed."""

Json = dict[str, Any]

PERIODIC: Json = {"type": "periodic", "interval": "10s"}
CRON: Json = {"type": "cron", "schedule": "* * * * *"}
TRIGGERS: list[Json] = [
    PERIODIC,
    {**PERIODIC, "catchUpWindow": "25s", "jitter": "7s"},
    {**PERIODIC, "catchUp": "all"},
    {**PERIODIC, "catchUp": "all", "jitter": "9s"},
    {**PERIODIC, "catchUp": "all", "catchUpWindow": "45s"},
    {**PERIODIC, "catchUp": "none", "maxRuns": 4},
    {**PERIODIC, "catchUp": "all", "maxRuns": 3},
    CRON,
    {**CRON, "catchUp": "all", "jitter": "30s", "maxRuns": 5},
    {**CRON, "catchUp": "none"},
    {**CRON, "jitter": "50s"},
    {**CRON, "catchUp": "all", "jitter": "433s"},
    {"type": "once", "at": "2026-01-01T00:01:00Z"},
    {"type": "manual"},
]


@dataclass
class Life:
    """One workflow, and all that can happen to it."""

    clock: ManualClock = field(default_factory=ManualClock)
    executions: MemoryExecutions = field(default_factory=MemoryExecutions)
    workflows: MemoryWorkflows = field(default_factory=MemoryWorkflows)
    eras: list[Era] = field(default_factory=list)
    lead: timedelta = timedelta()

    async def begin(self, trigger: Json) -> None:
        await self.define(Faults()).create(TENANT, _document(trigger))
        self.turn()

    def scheduler(self, faults: Faults, behind: float = 0) -> FireDueWorkflows:
        clock = ManualClock(self.clock.now() - timedelta(seconds=behind))
        workflows = FaultyWorkflows(self.workflows, faults)
        executions = FaultyExecutions(self.executions, faults)
        return firing(workflows, executions, FlakyBus(clock), clock, lead=self.lead)

    def define(self, faults: Faults) -> DefineWorkflows:
        return DefineWorkflows(
            FaultyWorkflows(self.workflows, faults),
            FaultyExecutions(self.executions, faults),
            CATALOGUE,
            JsonSchemaValidator(),
            self.clock,
            Timing(),
            lambda _: None,
            CelLanguage(),
        )

    @property
    def workflow(self) -> Workflow:
        return self.workflows._by_key["default:hello"]

    def turn(self) -> None:
        """Begin a new era if the timetable is another one."""
        now, workflow = self.clock.now(), self.workflow
        trigger = workflow.definition.trigger
        assert trigger is not None
        assert not isinstance(trigger, ForeignTrigger)
        delay = delay_of(trigger, TENANT, "hello", trigger.type)
        policy = Policy(trigger, workflow.version, now, delay)
        era = self.eras[-1] if self.eras else None
        if era and timetable_in(era.trigger) == timetable_in(trigger):
            if era.trigger != trigger:
                era.policies.append(policy)
            return
        if era:
            era.end = now
        self.eras.append(Era([policy]))

    def finish(self) -> None:
        for execution in list(self.executions._by_id.values()):
            if execution.active_key:
                ended = execution.evolve(status=Status.COMPLETED, active_key=None, wake_at=None)
                self.executions._put(ended)

    async def together(self, *doings: Awaitable[object]) -> None:
        """Let several do something at once; any of them may die of a fault."""
        for result in await asyncio.gather(*doings, return_exceptions=True):
            if isinstance(result, BaseException) and not isinstance(result, REFUSALS):
                raise result
        self.turn()

    async def settle(self) -> None:
        """Let everything come to rest: enabled, nothing broken, nothing running for long."""
        await self.define(Faults()).set_enabled(TENANT, "hello", enabled=True, if_match=None)
        for _ in range(2 * MOST_TO_CATCH_UP):
            self.finish()
            await self.scheduler(Faults())([HELLO])
            at = self.workflow.next_run_at
            if at is None or at > self.clock.now():
                return
        raise AssertionError("it never catches up")

    def check(self) -> None:
        """Check that each instant has one outcome, and that each trigger kept its promise."""
        records = sorted(
            (e for e in self.executions._by_id.values() if e.scheduled_for),
            key=lambda e: e.scheduled_for or NOW,
        )
        for number, era in enumerate(self.eras):
            era.note(records, self.clock.now())
            following = self.eras[number + 1 :]
            own = self._of(era, following, [e for e in records if era.may_have(e, following)])
            self.check_era(era, own)
            records = [e for e in records if e not in own]
        assert records == []

    def places(self, era: Era, until: datetime) -> Sequence[datetime]:
        """Return what an era has until its end, in the order in which its author means it."""
        return era.ideal(until)

    def _of(self, era: Era, following: list[Era], records: list[Execution]) -> list[Execution]:
        """Return the records of an era, among them what it had made ready when it ended."""
        end = era.end or self.clock.now()
        places = {at: number for number, at in enumerate(self.places(era, end))}
        own = [e for e in records if at_of(e) in places]
        own.sort(key=lambda e: places[at_of(e)])
        if not self.lead:
            return own
        horizon = self.clock.now() + self.lead
        later = {at for other in following for at in other.ideal(horizon)}
        ahead = [at for at in replace(era, end=None).ideal(end + self.lead) if at > end]
        ready = [e for e in records if at_of(e) in ahead and at_of(e) not in later and not e.skip]
        return own + ready

    def check_era(self, era: Era, own: list[Execution]) -> None:
        """Check the records of an era, which are in order."""
        limit = getattr(era.trigger, "max_runs", None)
        ideal = era.ideal(self.clock.now())
        # What was made ready ahead of its instant comes behind all others.
        ideal += [at_of(e) for e in own[-1:] if at_of(e) not in ideal]
        fires = [at_of(e) for e in own if not e.skip]
        assert limit is None or len(fires) <= limit
        if limit is not None and len(fires) == limit:
            ideal = ideal[: ideal.index(fires[-1]) + 1]
        covered: list[datetime] = []
        for record in own:
            span = span_of(record, ideal)
            assert len(span) == (record.skip.count if record.skip else 1)
            covered += span
        assert covered == ideal
        if era.end is None and limit is not None:
            assert sum(self.workflow.runs.values()) == len(fires)
        check_promises(era, own)


def _document(trigger: Json) -> Json:
    actions = [{"type": "log", "message": "hi"}]
    return {"workflowId": "hello", "trigger": trigger, "actions": actions}


Step = Callable[[Life], Awaitable[None]]


def _passing(seconds: int) -> Step:
    return lambda life: life.clock.advance(timedelta(seconds=seconds))


def _looking(faults: Sequence[tuple[Faults, int]]) -> Step:
    return lambda life: life.together(
        *(life.scheduler(each, behind)([HELLO]) for each, behind in faults)
    )


def _switching(enabled: bool, faults: tuple[Faults, Faults], busy: bool) -> Step:
    async def step(life: Life) -> None:
        own, other = faults
        doing = life.define(own).set_enabled(TENANT, "hello", enabled=enabled, if_match=None)
        await life.together(doing, *([life.scheduler(other)([HELLO])] if busy else []))

    return step


def _editing(trigger: Json, faults: tuple[Faults, Faults], busy: bool) -> Step:
    async def step(life: Life) -> None:
        own, other = faults
        doing = life.define(own).replace(TENANT, "hello", _document(trigger), None)
        await life.together(doing, *([life.scheduler(other)([HELLO])] if busy else []))

    return step


def _pausing(resumes: bool, faults: tuple[Faults, Faults], busy: bool) -> Step:
    async def step(life: Life) -> None:
        own, other = faults
        define = life.define(own)
        doing = define.resume if resumes else partial(define.pause, reason="moving house")
        looks = [life.scheduler(other)([HELLO])] if busy else []
        await life.together(doing(TENANT, "hello"), *looks)

    return step


async def _finishing(life: Life) -> None:
    life.finish()


BOTH = st.tuples(FAULTS, FAULTS)
LOOKS = st.lists(st.tuples(FAULTS, st.integers(0, 30)), min_size=1, max_size=2)


def sequences(triggers: Sequence[Json], longest: int) -> st.SearchStrategy[list[Step]]:
    """Return what may happen to a workflow that has one of some triggers after the other.

    Time passes in seconds or in hours, at most so many seconds at once.
    """
    step = st.one_of(
        st.builds(_passing, st.integers(1, 90)),
        st.builds(_passing, st.integers(600, longest)),
        st.builds(_looking, LOOKS),
        st.builds(_switching, st.booleans(), BOTH, st.booleans()),
        st.builds(_pausing, st.booleans(), BOTH, st.booleans()),
        st.builds(_editing, st.sampled_from(triggers), BOTH, st.booleans()),
        st.just(_finishing),
    )
    return st.lists(step, min_size=1, max_size=12)


@settings(max_examples=300)
@given(st.sampled_from(TRIGGERS), sequences(TRIGGERS, 10_800), st.sampled_from([0, 5]))
async def test_every_instant_has_one_outcome_and_every_promise_is_kept(
    trigger: Json, steps: list[Step], lead: int
) -> None:
    life = Life(lead=lead * SECOND)
    await life.begin(trigger)
    for step in steps:
        await step(life)
    await life.settle()
    life.check()
