"""Firing due workflows: what comes of one call."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from shared.adapters.memory.clock import ManualClock
from shared.adapters.memory.executions import MemoryExecutions
from shared.adapters.memory.workflows import MemoryWorkflows
from shared.domain.execution import EventType, Execution, Skip, SkipReason, Status
from shared.domain.fold import differences
from shared.domain.rescheduling import redefine
from shared.domain.workflow import Workflow, delete, disable
from shared.domain.zones import tzdata_version
from shared.ports.bus import ExecutionRequest
from shared.ports.workflows import Upcoming
from tests.support.builders import NOW, SECOND, TENANT, definition, queued, workflow
from tests.unit.doubles import FlakyBus, counted, firing

DUE = NOW + 10 * SECOND
HELLO = Upcoming(TENANT, "hello", DUE)


@dataclass
class Rig:
    """One scheduler's firing, with everything around it in memory."""

    clock: ManualClock = field(default_factory=ManualClock)
    workflows: MemoryWorkflows = field(default_factory=MemoryWorkflows)
    executions: MemoryExecutions = field(default_factory=MemoryExecutions)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.bus = FlakyBus(self.clock)
        self.fire = firing(
            self.workflows, self.executions, self.bus, self.clock, registry=self.registry
        )

    async def add(self, workflow_id: str = "hello", interval: str = "10s") -> Workflow:
        added = workflow(workflow_id, interval=interval)
        assert await self.workflows.add(added)
        return added

    async def occurrence(
        self, at: datetime, workflow_id: str = "hello", trigger: str = "periodic"
    ) -> Execution | None:
        instant = f"{at:%Y-%m-%dT%H:%M:%S}.000Z"
        return await self.executions.get(TENANT, f"default:{workflow_id}:{trigger}:{instant}:0")

    async def next_run_at(self, workflow_id: str = "hello") -> datetime | None:
        found = await self.workflows.get(TENANT, workflow_id)
        assert found is not None
        return found.next_run_at

    async def shelve(self, before: Workflow, after: Workflow) -> None:
        assert await self.workflows.save(before, after)


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_a_due_workflow_becomes_a_queued_execution_named_after_its_instant(rig: Rig) -> None:
    await rig.add()
    await rig.clock.advance(10 * SECOND)
    assert await rig.fire([HELLO]) == [Upcoming(TENANT, "hello", DUE + 10 * SECOND)]
    execution = await rig.occurrence(DUE)
    assert execution is not None
    assert (execution.status, execution.scheduled_for) == (Status.QUEUED, DUE)
    assert (execution.trigger_id, execution.version, execution.retries_left) == ("periodic", 1, 3)
    assert (execution.active_key, execution.wake_at) == ("default:hello", DUE + 30 * SECOND)
    assert [event.type for event in execution.history] == [EventType.QUEUED]
    assert await rig.next_run_at() == DUE + 10 * SECOND


async def test_the_request_is_published_with_the_workflow_as_its_key(rig: Rig) -> None:
    await rig.add()
    await rig.clock.advance(10 * SECOND)
    await rig.fire([HELLO])
    (sent,) = rig.bus.sent()
    name = "default:hello:periodic:2026-01-01T00:00:10.000Z:0"
    assert sent.request == ExecutionRequest(name, TENANT, "hello", DUE)
    assert sent.record.key == b"hello"


async def test_a_late_fire_keeps_its_instant_and_the_grid(rig: Rig) -> None:
    await rig.add()
    await rig.clock.advance(13 * SECOND)
    await rig.fire([HELLO])
    execution = await rig.occurrence(DUE)
    assert execution is not None
    assert (execution.scheduled_for, execution.created_at) == (DUE, DUE + 3 * SECOND)
    assert await rig.next_run_at() == DUE + 10 * SECOND
    assert counted(rig.registry, "fire_lateness_seconds_sum") == 3


async def test_many_workflows_are_fired_in_one_go(rig: Rig) -> None:
    names = [f"w{number}" for number in range(50)]
    for name in names:
        await rig.add(name)
    await rig.clock.advance(10 * SECOND)
    following = await rig.fire([Upcoming(TENANT, name, DUE) for name in names])
    assert {item.workflow_id for item in following} == set(names)
    assert len(set(rig.bus.sent_ids())) == 50
    assert counted(rig.registry, "occurrences_fired_total") == 50


async def test_what_is_not_due_yet_is_only_said_to_be_upcoming(rig: Rig) -> None:
    await rig.add()
    await rig.clock.advance(9 * SECOND)
    assert await rig.fire([HELLO]) == [HELLO]
    assert await rig.occurrence(DUE) is None
    assert rig.bus.sent() == []
    assert await rig.next_run_at() == DUE


@pytest.mark.parametrize("change", [disable, delete], ids=["disabled", "deleted"])
async def test_what_was_switched_off_meanwhile_does_not_fire(
    rig: Rig, change: Callable[[Workflow, datetime], Workflow]
) -> None:
    hello = await rig.add()
    await rig.shelve(hello, change(hello, NOW))
    await rig.clock.advance(10 * SECOND)
    assert await rig.fire([HELLO]) == []
    assert await rig.occurrence(DUE) is None
    assert rig.bus.sent() == []


async def test_an_unknown_workflow_is_passed_over(rig: Rig) -> None:
    await rig.clock.advance(10 * SECOND)
    assert await rig.fire([HELLO]) == []
    assert await rig.fire([]) == []


async def test_what_was_rescheduled_meanwhile_waits_for_its_new_instant(rig: Rig) -> None:
    hello = await rig.add()
    await rig.clock.advance(5 * SECOND)
    later = redefine(hello, definition("hello", interval="20s"), 2, rig.clock.now())
    await rig.shelve(hello, later)
    await rig.clock.advance(5 * SECOND)
    assert await rig.fire([HELLO]) == [Upcoming(TENANT, "hello", NOW + 25 * SECOND)]
    assert await rig.occurrence(DUE) is None


async def test_an_occurrence_pins_the_version_that_is_current_when_it_fires(rig: Rig) -> None:
    hello = await rig.add()
    changed = definition("hello", interval="10s", retry={"retries": 7})
    await rig.shelve(hello, redefine(hello, changed, 2, NOW))
    await rig.clock.advance(10 * SECOND)
    await rig.fire([HELLO])
    execution = await rig.occurrence(DUE)
    assert execution is not None
    assert (execution.version, execution.retries_left) == (2, 7)


async def test_an_occurrence_that_meets_an_active_execution_is_recorded_as_skipped(
    rig: Rig,
) -> None:
    await rig.add()
    await rig.executions.add([queued()])
    await rig.clock.advance(10 * SECOND)
    await rig.fire([HELLO])
    skipped = await rig.occurrence(DUE)
    assert skipped is not None
    assert (skipped.status, skipped.skip) == (
        Status.SKIPPED,
        Skip(SkipReason.OVERLAP, DUE, DUE, 1),
    )
    assert (skipped.active_key, skipped.wake_at, skipped.finished_at) == (None, None, DUE)
    assert [event.type for event in skipped.history] == [EventType.SKIPPED]


async def test_a_skipped_occurrence_is_not_published_and_the_schedule_goes_on(rig: Rig) -> None:
    await rig.add()
    await rig.executions.add([queued()])
    await rig.clock.advance(10 * SECOND)
    await rig.fire([HELLO])
    assert rig.bus.sent() == []
    assert await rig.next_run_at() == DUE + 10 * SECOND
    assert counted(rig.registry, "occurrences_skipped_total", reason="overlap") == 1
    assert counted(rig.registry, "occurrences_fired_total") == 0


async def test_firing_again_doubles_nothing(rig: Rig) -> None:
    hello = await rig.add()
    await rig.clock.advance(10 * SECOND)
    await rig.fire([HELLO])
    fired, sent = await rig.occurrence(DUE), rig.bus.sent_ids()
    behind = await rig.workflows.get(TENANT, "hello")
    assert behind is not None
    rig.workflows._by_key[hello.key] = replace(behind, next_runs={"periodic": DUE})
    assert await rig.fire([HELLO]) == [Upcoming(TENANT, "hello", DUE + 10 * SECOND)]
    assert (await rig.occurrence(DUE), len(sent), rig.bus.sent()) == (fired, 1, [])
    assert await rig.next_run_at() == DUE + 10 * SECOND


async def test_after_a_downtime_the_latest_instant_fires_and_one_record_stands_for_the_others(
    rig: Rig,
) -> None:
    await rig.add()
    await rig.clock.advance(timedelta(seconds=57))
    assert await rig.fire([HELLO]) == [Upcoming(TENANT, "hello", NOW + 60 * SECOND)]
    record, fired = await rig.occurrence(DUE), await rig.occurrence(NOW + 50 * SECOND)
    assert record is not None
    assert record.skip == Skip(SkipReason.MISSED, DUE, NOW + 40 * SECOND, 4)
    assert fired is not None
    assert fired.status is Status.QUEUED
    assert rig.bus.sent_ids() == [fired.id]
    assert len(rig.executions._by_id) == 2
    assert counted(rig.registry, "occurrences_skipped_total", reason="missed") == 4


async def test_without_a_broker_the_execution_stays_and_wakes_by_itself(rig: Rig) -> None:
    await rig.add()
    await rig.clock.advance(10 * SECOND)
    rig.bus.away = True
    assert await rig.fire([HELLO]) == [Upcoming(TENANT, "hello", DUE + 10 * SECOND)]
    execution = await rig.occurrence(DUE)
    assert execution is not None
    assert (execution.status, execution.wake_at) == (Status.QUEUED, DUE + 30 * SECOND)
    assert await rig.next_run_at() == DUE + 10 * SECOND
    assert await rig.executions.orphans() == 0


async def test_a_calendar_fires_at_its_instants_and_goes_on_with_the_next(rig: Rig) -> None:
    daily = {"type": "cron", "schedule": "0 2 * * *", "timezone": "Asia/Kolkata"}
    await rig.workflows.add(workflow("hello", trigger=daily))
    due = datetime(2026, 1, 1, 20, 30, tzinfo=UTC)
    assert await rig.next_run_at() == due
    await rig.clock.advance(due - NOW)
    assert await rig.fire([HELLO]) == [Upcoming(TENANT, "hello", due + timedelta(days=1))]
    fired = await rig.occurrence(due, trigger="cron")
    assert fired is not None
    assert (fired.status, fired.scheduled_for, fired.trigger_id) == (Status.QUEUED, due, "cron")
    assert fired.history[0].tzdata == tzdata_version()
    assert await rig.next_run_at() == due + timedelta(days=1)


async def test_what_a_calendar_missed_is_one_record_and_the_latest_instant_fires(rig: Rig) -> None:
    await rig.workflows.add(workflow("hello", trigger={"type": "cron", "schedule": "0 * * * *"}))
    first = NOW + timedelta(hours=1)
    await rig.clock.advance(timedelta(hours=5, minutes=10))
    await rig.fire([HELLO])
    missed = await rig.occurrence(first, trigger="cron")
    assert missed is not None
    assert missed.skip == Skip(SkipReason.MISSED, first, NOW + timedelta(hours=4), 4)
    assert missed.history[0].tzdata == tzdata_version()
    fired = await rig.occurrence(NOW + timedelta(hours=5), trigger="cron")
    assert fired is not None
    assert fired.status is Status.QUEUED


async def test_an_occurrence_of_a_calendar_that_is_skipped_names_the_rules_too(rig: Rig) -> None:
    await rig.workflows.add(workflow("hello", trigger={"type": "cron", "schedule": "0 * * * *"}))
    await rig.executions.add([queued()])
    await rig.clock.advance(timedelta(hours=1))
    await rig.fire([HELLO])
    skipped = await rig.occurrence(NOW + timedelta(hours=1), trigger="cron")
    assert skipped is not None
    assert skipped.status is Status.SKIPPED
    assert [(event.type, event.tzdata) for event in skipped.history] == [
        (EventType.SKIPPED, tzdata_version())
    ]


async def test_a_single_instant_fires_once_even_if_late_and_is_never_due_again(rig: Rig) -> None:
    once = {"type": "once", "at": "2026-01-01T00:00:10Z"}
    await rig.workflows.add(workflow("hello", trigger=once))
    await rig.clock.advance(timedelta(minutes=5))
    assert await rig.fire([HELLO]) == []
    fired = await rig.occurrence(DUE, trigger="once")
    assert fired is not None
    assert fired.status is Status.QUEUED
    assert await rig.next_run_at() is None
    assert await rig.fire([HELLO]) == []
    assert len(rig.executions._by_id) == 1


async def test_what_is_recorded_of_an_overlap_is_what_its_history_gives(rig: Rig) -> None:
    await rig.workflows.add(workflow(interval="10s", timeout="1m", retry={"retries": 3}))
    for _ in range(2):
        await rig.clock.advance(10 * SECOND)
        await rig.fire([HELLO])
    (skipped,) = [e for e in rig.executions.stored() if e.skip]
    assert differences(skipped) == []
