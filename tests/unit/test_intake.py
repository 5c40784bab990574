"""The poll loop of a runner: fetch, claim, start, commit, and nothing lost on the way."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count, groupby

import pytest

from runner_svc.use_cases.claim import ClaimExecutions
from runner_svc.use_cases.definitions import Definitions
from runner_svc.worker import intake as module
from runner_svc.worker.inflight import InFlight
from runner_svc.worker.intake import Intake
from shared.adapters.memory.bus import MemorySubscriber
from shared.adapters.memory.clock import settle
from shared.adapters.memory.operations import MemoryDeadLetters
from shared.adapters.memory.workflows import MemoryWorkflows
from shared.domain.execution import Execution, Status
from shared.ports.bus import Delivery, ExecutionRequest
from tests.support.builders import NOW, SECOND, TENANT, queued
from tests.support.waiting import PATIENCE, eventually
from tests.unit.bench import OWNER, Bench, working
from tests.unit.doubles import Faults, FaultyExecutions, FaultyWorkflows, FlakyBus, away, stored

EVERY_CALL = range(1_000_000)


class WatchedSubscriber(MemorySubscriber):
    """Notes what was asked for and what was committed."""

    def __init__(self, bus: FlakyBus) -> None:
        super().__init__(bus)
        self.limits: list[int] = []
        self.committed: list[str] = []
        self.failures = 0
        self.commit_failures = 0
        self.after_fetch: Callable[[], None] = lambda: None

    async def fetch(self, limit: int, wait: timedelta) -> list[Delivery]:
        self.limits.append(limit)
        if self.failures:
            self.failures -= 1
            raise away()
        found = await super().fetch(limit, wait)
        if found:
            self.after_fetch()
        return found

    async def commit(self, deliveries: Sequence[Delivery]) -> None:
        if self.commit_failures:
            self.commit_failures -= 1
            raise away()
        await super().commit(deliveries)
        self.committed += [d.request.execution_id if d.request else "?" for d in deliveries]


class Hall:
    """One runner's intake, and everything around it in memory."""

    def __init__(self, capacity: int = 10, batch: int = 10, claims: Faults | None = None) -> None:
        self.bench = Bench()
        self.clock = self.bench.clock
        self.bus = FlakyBus(self.clock)
        self.subscriber = WatchedSubscriber(self.bus)
        self.claims = claims or Faults()
        self.lookups = Faults()
        self.in_flight = InFlight(capacity, self.bench.metrics.in_flight)
        self.hold = asyncio.Event()
        self.stop = asyncio.Event()
        self.workflows = MemoryWorkflows()
        numbers = count(1)
        claim = ClaimExecutions(
            FaultyExecutions(self.bench.executions, self.claims),
            MemoryDeadLetters(),
            self.bus,
            self.clock,
            self.bench.timing,
            self.bench.metrics,
            OWNER,
            lambda: f"t{next(numbers)}",
        )
        self.intake = Intake(
            subscriber=self.subscriber,
            claim=claim,
            definitions=Definitions(FaultyWorkflows(self.workflows, self.lookups)),
            run_execution=self.bench.run,
            in_flight=self.in_flight,
            clock=self.clock,
            batch=batch,
        )

    async def trigger(self, *names: str) -> list[Execution]:
        """Add executions whose action waits to be let, and send their requests."""
        definition = self.bench.definition("a")
        await self.workflows.add_version(TENANT, definition, 1)
        executions = [queued(name, active_key=f"default:{name}") for name in names]
        await self.bench.executions.add(executions)
        self.bench.script.tell("a", *[self._wait] * len(names))
        now = self.clock.now()
        await self.bus.publish(
            [ExecutionRequest(e.id, e.tenant, e.workflow_id, now) for e in executions]
        )
        return executions

    async def _wait(self) -> None:
        await self.hold.wait()

    async def stored(self, execution: Execution) -> Execution:
        return await stored(self.bench.executions, execution)


@asynccontextmanager
async def taking(hall: Hall) -> AsyncIterator[Hall]:
    """Let an intake run, then stop it, and let what it started end."""
    async with working(hall.bench):
        running = asyncio.ensure_future(hall.intake.run(hall.stop))
        await settle(50)
        yield hall
        hall.stop.set()
        await asyncio.wait_for(running, PATIENCE)
        hall.hold.set()
        assert await hall.in_flight.wait_until_empty(timedelta(seconds=PATIENCE))


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE", timedelta())
    monkeypatch.setattr(module, "_POLL", timedelta(milliseconds=1))


async def _until(condition: Callable[[], object]) -> None:
    async def read() -> bool:
        return bool(condition())

    await eventually(read, every=0.001)


async def test_what_is_requested_is_claimed_run_and_committed() -> None:
    async with taking(Hall()) as hall:
        executions = await hall.trigger("1", "2")
        await _until(lambda: len(hall.subscriber.committed) == 2)
        assert hall.in_flight.ids == {execution.id for execution in executions}
        hall.hold.set()
        await _until(lambda: not hall.in_flight.ids)
        assert [(await hall.stored(e)).status for e in executions] == [Status.COMPLETED] * 2


async def test_no_more_is_asked_for_than_there_is_room_or_one_claim_may_take() -> None:
    async with taking(Hall(capacity=5, batch=3)) as hall:
        await hall.trigger("1", "2", "3", "4", "5", "6")
        await _until(lambda: hall.in_flight.room == 0)
        limits = [limit for limit, _ in groupby(hall.subscriber.limits)]
        assert (limits[:2], len(hall.in_flight.ids)) == ([3, 2], 5)
        hall.hold.set()
        await _until(lambda: len(hall.subscriber.committed) == 6)


async def test_a_full_runner_keeps_polling_without_taking() -> None:
    async with taking(Hall(capacity=1)) as hall:
        first, second = await hall.trigger("1", "2")
        await _until(lambda: hall.subscriber.limits[-5:] == [0] * 5)
        assert hall.in_flight.ids == {first.id}
        assert (await hall.stored(second)).status is Status.QUEUED
        hall.hold.set()
        await _until(lambda: hall.subscriber.committed == [first.id, second.id])


async def test_nothing_is_committed_before_it_is_claimed() -> None:
    async with taking(Hall(claims=Faults(before=EVERY_CALL))) as hall:
        (execution,) = await hall.trigger("1")
        await _until(lambda: hall.claims.calls > 3)
        assert hall.subscriber.committed == []
        hall.claims.before = ()
        await _until(lambda: hall.subscriber.committed == [execution.id])
        assert (await hall.stored(execution)).status is Status.RUNNING


@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_claim_that_failed_is_repeated_under_the_same_token(side: str) -> None:
    async with taking(Hall(claims=Faults.at(side, 0))) as hall:
        (execution,) = await hall.trigger("1")
        await _until(lambda: hall.subscriber.committed)
        after = await hall.stored(execution)
        assert after.lease is not None
        assert (after.lease.token, after.recoveries, after.seq) == ("t1", 0, 2)
        assert hall.claims.calls == 2


async def test_definitions_that_could_not_be_read_are_asked_for_under_the_same_token() -> None:
    async with taking(Hall()) as hall:
        hall.lookups.before = {0}
        (execution,) = await hall.trigger("1")
        await _until(lambda: hall.subscriber.committed)
        after = await hall.stored(execution)
        assert after.lease is not None
        assert (after.lease.token, hall.lookups.calls) == ("t1", 2)
        assert hall.in_flight.ids == {execution.id}


async def test_once_its_lease_is_over_a_claim_is_repeated_under_a_new_token() -> None:
    async with taking(Hall(claims=Faults(after=EVERY_CALL))) as hall:
        (execution,) = await hall.trigger("1")
        await _until(lambda: hall.claims.calls > 2)
        await hall.clock.advance(31 * SECOND)
        hall.claims.after = ()
        await _until(lambda: hall.subscriber.committed)
        after = await hall.stored(execution)
        assert after.lease is not None
        assert (after.lease.token, after.recoveries) == ("t2", 1)
        assert after.lease.until == NOW + 61 * SECOND


async def test_stopping_ends_a_claim_that_does_not_succeed() -> None:
    async with taking(Hall(claims=Faults(before=EVERY_CALL))) as hall:
        (execution,) = await hall.trigger("1")
        await _until(lambda: hall.claims.calls > 2)
    assert hall.bench.script.calls == []
    assert (await hall.stored(execution)).status is Status.QUEUED


async def test_stopping_does_not_wait_for_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_POLL", timedelta(hours=10))
    async with taking(Hall()) as hall:
        assert hall.subscriber.limits == [10]
    assert hall.subscriber.limits == [10]


async def test_a_bus_that_is_away_is_asked_again() -> None:
    hall = Hall()
    hall.subscriber.failures = 3
    async with taking(hall):
        (execution,) = await hall.trigger("1")
        await _until(lambda: hall.subscriber.committed == [execution.id])


async def test_a_commit_that_failed_makes_nothing_run_twice() -> None:
    hall = Hall()
    hall.subscriber.commit_failures = 1
    async with taking(hall):
        (execution,) = await hall.trigger("1")
        await _until(lambda: hall.subscriber.commit_failures == 0)
        await hall.subscriber.close()
        await _until(lambda: hall.subscriber.committed == [execution.id])
        assert len(hall.bench.script.calls) == 1


async def test_what_is_held_is_not_taken_over_by_its_own_runner() -> None:
    async with taking(Hall()) as hall:
        (execution,) = await hall.trigger("1")
        await _until(lambda: hall.bench.script.calls)
        await hall.clock.advance(31 * SECOND)
        await hall.bus.publish([ExecutionRequest(execution.id, TENANT, "1", NOW + 31 * SECOND)])
        await _until(lambda: len(hall.subscriber.committed) == 2)
        after = await hall.stored(execution)
        assert (after.recoveries, len(hall.bench.script.calls)) == (0, 1)


async def test_messages_that_ask_for_nothing_are_committed_as_well() -> None:
    async with taking(Hall()) as hall:
        hall.bus.put(b"poison")
        await hall.bus.publish([ExecutionRequest("unknown", TENANT, "hello", NOW)])
        await _until(lambda: sorted(hall.subscriber.committed) == ["?", "unknown"])
        assert hall.in_flight.ids == frozenset()


async def test_an_execution_whose_definition_is_gone_fails() -> None:
    async with taking(Hall()) as hall:
        (execution,) = await hall.trigger("1")
        hall.workflows._versions.clear()
        await _until(lambda: hall.subscriber.committed)
        await _until(lambda: not hall.in_flight.ids)
        after = await hall.stored(execution)
        assert (after.status, hall.bench.script.calls) == (Status.FAILED, [])


async def test_a_definition_is_read_once_and_kept() -> None:
    async with taking(Hall()) as hall:
        await hall.trigger("1")
        await _until(lambda: len(hall.subscriber.committed) == 1)
        await hall.trigger("2")
        await _until(lambda: len(hall.subscriber.committed) == 2)
        assert hall.lookups.calls == 1


async def test_stopping_while_claiming_commits_nothing() -> None:
    async with taking(Hall(claims=Faults(before=EVERY_CALL))) as hall:
        await hall.trigger("1")
        await _until(lambda: hall.claims.calls > 2)
    assert hall.subscriber.committed == []


async def test_what_was_fetched_just_before_the_stop_is_left_to_another_runner() -> None:
    async with taking(Hall()) as hall:
        hall.subscriber.after_fetch = hall.stop.set
        (execution,) = await hall.trigger("1")
        await _until(hall.stop.is_set)
    assert (await hall.stored(execution)).status is Status.QUEUED
    assert hall.subscriber.committed == []
