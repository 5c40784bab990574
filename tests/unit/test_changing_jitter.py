"""Edits of what a trigger does about time that passed, or of its jitter: its place stays."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from shared.adapters.memory.executions import MemoryExecutions
from shared.domain.due import due_workflows
from shared.domain.errors import Unavailable
from shared.domain.execution import Execution, Skip, SkipReason
from shared.domain.held import Hold
from shared.domain.jitter import delay_of
from shared.domain.rescheduling import redefine
from shared.domain.workflow import Workflow
from shared.ports.executions import AddOutcome
from shared.ports.workflows import Upcoming
from tests.support.builders import CATALOGUE, NOW, SECOND, TENANT, definition, workflow
from tests.unit.desk import Desk
from tests.unit.documents import LOG
from tests.unit.doubles import Faults, FaultyExecutions, FaultyWorkflows, FlakyBus, firing

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
START = {"startAt": "2026-01-01T00:00:01Z"}
HOURLY: dict[str, Any] = {"type": "cron", "schedule": "0 * * * *", **START}
MINUTELY: dict[str, Any] = {"type": "cron", "schedule": "* * * * *", **START}
DAILY: dict[str, Any] = {"type": "periodic", "interval": "24h"}
POLICIES: list[dict[str, Any]] = [
    {"catchUp": "all"},
    {"catchUp": "none"},
    {"catchUpWindow": "6h"},
    {"catchUp": "all", "catchUpWindow": "6h"},
]


def document(trigger: dict[str, Any]) -> dict[str, Any]:
    return {"workflowId": "hello", "trigger": trigger, "actions": [LOG]}


def delay(jitter: str) -> timedelta:
    """Return by how much a jitter delays the trigger of `hello`."""
    only = CATALOGUE.parse(document({**HOURLY, "jitter": jitter})).trigger
    assert only is not None
    return delay_of(only, TENANT, "hello", "cron")


class Shop(Desk):
    """A desk with the workflow `hello`, and a scheduler that may be away."""

    async def open(self, trigger: dict[str, Any]) -> None:
        await self.define.create(TENANT, document(trigger))

    async def put(self, trigger: dict[str, Any]) -> Workflow:
        return await self.define.replace(TENANT, "hello", document(trigger), None)

    async def fire(self, faults: Faults | None = None) -> None:
        """Let a scheduler look, and what it fired come to its end."""
        seen = FaultyWorkflows(self.workflows, faults or Faults())
        executions = FaultyExecutions(self.executions, faults or Faults())
        fire = firing(seen, executions, FlakyBus(self.clock), self.clock)
        await fire([Upcoming(TENANT, "hello", self.clock.now())])
        for held in (await self.executions.active(["default:hello"])).values():
            await self.run(held.id)

    def fired(self) -> list[timedelta]:
        found = self.executions.stored()
        return sorted(e.scheduled_for - NOW for e in found if e.scheduled_for and not e.skip)

    def skips(self) -> list[Skip]:
        skips = (e.skip for e in self.executions.stored() if e.skip)
        return sorted(skips, key=lambda skip: skip.first)


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.mark.parametrize("policy", POLICIES)
async def test_a_policy_for_what_passed_moves_no_interval(
    shop: Shop, policy: dict[str, Any]
) -> None:
    await shop.open(DAILY)
    await shop.clock.advance(23 * HOUR)
    assert (await shop.put({**DAILY, **policy})).next_run_at == NOW + 24 * HOUR
    assert (await shop.put(DAILY)).next_run_at == NOW + 24 * HOUR
    assert shop.skips() == []


@pytest.mark.parametrize("policy", POLICIES)
async def test_an_instant_that_is_due_fires_by_a_policy_that_comes_then(
    shop: Shop, policy: dict[str, Any]
) -> None:
    await shop.open(HOURLY)
    await shop.clock.advance(HOUR + SECOND)
    await shop.put({**HOURLY, **policy})
    await shop.fire()
    assert (shop.fired(), shop.skips()) == ([HOUR], [])


async def test_an_instant_that_fired_does_not_fire_again_with_a_longer_jitter(shop: Shop) -> None:
    await shop.open({**HOURLY, "jitter": "5m"})
    await shop.clock.advance(HOUR + delay("5m"))
    await shop.fire()
    await shop.clock.advance(7 * MINUTE)
    changed = await shop.put({**HOURLY, "jitter": "45m"})
    assert changed.next_run_at == NOW + 2 * HOUR + delay("45m")
    await shop.clock.advance(HOUR + 40 * MINUTE)
    await shop.fire()
    assert shop.fired() == [HOUR + delay("5m"), 2 * HOUR + delay("45m")]
    assert shop.skips() == []


@pytest.mark.parametrize("shorter", [{"jitter": "5m"}, {}])
async def test_an_instant_that_a_shorter_jitter_moves_into_the_past_fires_at_once(
    shop: Shop, shorter: dict[str, Any]
) -> None:
    await shop.open({**HOURLY, "jitter": "45m"})
    await shop.clock.advance(HOUR + 10 * MINUTE)
    by = delay("5m") if shorter else timedelta()
    changed = await shop.put({**HOURLY, **shorter})
    assert changed.next_run_at == NOW + HOUR + by
    await shop.fire()
    await shop.clock.advance(HOUR)
    await shop.fire()
    assert shop.fired() == [HOUR + by, 2 * HOUR + by]
    assert shop.skips() == []


def test_a_plain_interval_moves_by_the_difference_and_keeps_its_distances() -> None:
    first = workflow(trigger={**DAILY, "jitter": "5h"})
    was = first.next_run_at
    assert was is not None
    longer = redefine(first, definition(trigger={**DAILY, "jitter": "20h"}), 2, NOW + HOUR)
    (due,) = due_workflows(longer)
    assert due.next_run_at - due.position.delay == was - due_workflows(first)[0].position.delay
    assert due.timetable.next_after(due.next_run_at) == due.next_run_at + 24 * HOUR
    back = redefine(longer, first.definition, 3, NOW + 2 * HOUR)
    assert back.next_runs == first.next_runs


def test_an_instant_that_a_jitter_moves_beyond_the_last_year_is_none() -> None:
    last = {"type": "cron", "schedule": "59 23 31 12 *", "startAt": "2999-12-31T00:00:00Z"}
    first = workflow(trigger=last)
    assert first.next_run_at is not None
    late = definition(trigger={**last, "jitter": "9h"})
    assert redefine(first, late, 2, NOW).next_runs == {}


async def test_what_is_due_keeps_its_delay_and_what_follows_has_the_new_one(shop: Shop) -> None:
    await shop.open({**MINUTELY, "catchUp": "all"})
    await shop.clock.advance(MINUTE + SECOND)
    changed = await shop.put({**MINUTELY, "catchUp": "all", "jitter": "50s"})
    assert changed.next_run_at == NOW + MINUTE
    assert changed.holds == {"cron": Hold(NOW + 2 * MINUTE, timedelta())}
    for _ in range(3):
        await shop.fire()
        await shop.clock.advance(MINUTE + delay("50s"))
    assert shop.fired() == [MINUTE, 2 * MINUTE, 3 * MINUTE + delay("50s")]
    assert shop.skips() == []


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("side", ["before", "after"])
async def test_a_scheduler_that_dies_as_the_jitter_changes_fires_no_instant_twice(
    shop: Shop, side: str, number: int
) -> None:
    """Its record has the old delay; whoever is there next finds it by the same id."""
    await shop.open(HOURLY)
    await shop.clock.advance(HOUR)
    with suppress(Unavailable):
        await shop.fire(Faults.at(side, number))
    await shop.put({**HOURLY, "jitter": "45m"})
    for held in (await shop.executions.active(["default:hello"])).values():
        await shop.run(held.id)
    for _ in range(4):
        await shop.fire()
        await shop.clock.advance(40 * MINUTE)
    assert shop.fired() == [HOUR, 2 * HOUR + delay("45m")]
    assert shop.skips() == []


class Overtaken(FaultyExecutions):
    """Lets somebody do something just before a write of a scheduler that has read already."""

    def __init__(self, seen: MemoryExecutions, writes: int, other: Callable[[], Any]) -> None:
        super().__init__(seen, Faults())
        self.writes, self.other = writes, other

    async def add(self, executions: Sequence[Execution]) -> list[AddOutcome]:
        self.writes -= 1
        if self.writes == 0:
            await self.other()
        return await super().add(executions)


@pytest.mark.parametrize("policy", [{}, {"catchUp": "all"}])
@pytest.mark.parametrize("writes", range(1, 4))
@pytest.mark.parametrize("jitters", [({}, {"jitter": "50s"}), ({"jitter": "50s"}, {})])
async def test_a_scheduler_that_knows_of_no_other_jitter_yet_fires_no_instant_twice(
    shop: Shop, jitters: tuple[dict[str, Any], ...], writes: int, policy: dict[str, Any]
) -> None:
    before, after = ({**MINUTELY, **policy, **jitter} for jitter in jitters)
    await shop.open(before)
    await shop.clock.advance(5 * MINUTE)
    seen = Overtaken(shop.executions, writes, lambda: shop.put(after))
    await firing(shop.workflows, seen, FlakyBus(shop.clock), shop.clock)(
        [Upcoming(TENANT, "hello", shop.clock.now())]
    )
    if seen.writes > 0:
        await shop.put(after)
    for held in (await shop.executions.active(["default:hello"])).values():
        await shop.run(held.id)
    await shop.clock.advance(3 * MINUTE)
    for _ in range(8):
        await shop.fire()
    meant = [
        *shop.fired(),
        *(s.first - NOW + n * MINUTE for s in shop.skips() for n in range(s.count)),
    ]
    passed = [n * MINUTE for n in range(1, 9)]
    assert sorted(at // MINUTE * MINUTE for at in meant) == passed[: len(meant)]
    assert len(meant) >= 7


async def test_what_could_not_go_on_in_order_is_superseded_and_nothing_else(shop: Shop) -> None:
    """A delay of a shorter jitter that is less by more than the distance of two instants."""
    await shop.open({**MINUTELY, "jitter": "45m"})
    await shop.clock.advance(delay("45m") + MINUTE)
    await shop.put({**MINUTELY, "catchUp": "all"})
    first = MINUTE + delay("45m")
    assert [(s.reason, s.first - NOW, s.count) for s in shop.skips()] == [
        (SkipReason.SUPERSEDED, first, 2)
    ]
    for _ in range(40):
        await shop.fire()
    passed = (shop.clock.now() - NOW) // MINUTE
    assert shop.fired() == [n * MINUTE for n in range(3, passed + 1)]


EVERY_TEN: dict[str, Any] = {"type": "periodic", "interval": "10s"}


async def test_an_edit_of_something_else_gives_up_nothing_that_keeps_its_delay(shop: Shop) -> None:
    await shop.open(EVERY_TEN)
    await shop.clock.advance(SECOND)
    jittered = {**EVERY_TEN, "jitter": "7s"}
    held = await shop.put(jittered)
    edited = {**document(jittered), "actions": [{**LOG, "message": "another"}]}
    after = await shop.define.replace(TENANT, "hello", edited, None)
    assert (after.version, after.next_runs, after.holds) == (3, held.next_runs, held.holds)
    assert held.holds
    assert shop.skips() == []


async def test_what_another_jitter_delays_is_given_up_as_it_is_taken_back(shop: Shop) -> None:
    await shop.open(EVERY_TEN)
    await shop.clock.advance(SECOND)
    held = await shop.put({**EVERY_TEN, "jitter": "7s"})
    await shop.clock.advance(76 * SECOND)
    (seen,) = due_workflows(held)
    later = seen.timetable.next_after(NOW + MINUTE)
    assert later
    assert NOW + 70 * SECOND < later < NOW + 77 * SECOND
    taken_back = await shop.put(EVERY_TEN)
    kept, delayed = shop.skips()
    assert (kept.first, kept.last) == (NOW + 10 * SECOND, NOW + MINUTE)
    assert (delayed.reason, delayed.first) == (SkipReason.SUPERSEDED, later)
    assert taken_back.next_run_at == delayed.last - (later - NOW - 70 * SECOND) + 10 * SECOND
