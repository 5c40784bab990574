"""Claiming: what a batch of messages leads to."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count

import pytest
from prometheus_client import CollectorRegistry

from runner_svc.metrics import RunnerMetrics
from runner_svc.use_cases.claim import ClaimExecutions
from shared.adapters.memory.clock import ManualClock
from shared.adapters.memory.executions import MemoryExecutions
from shared.adapters.memory.operations import MemoryDeadLetters
from shared.contracts.requests import TYPE
from shared.domain.errors import Unavailable
from shared.domain.execution import Execution, Status
from shared.domain.outcomes import Timing
from shared.ports.bus import Delivery, ExecutionRequest
from shared.ports.dead_letters import DeadLetter
from tests.support.builders import NOW, SECOND, lease, queued, running
from tests.unit.doubles import Faults, FaultyExecutions, FlakyBus, away, counted, stored

MS = timedelta(milliseconds=1)
POISON = b"not json"
NEWER = b'{"type": "' + TYPE.replace("v1", "v2").encode() + b'", "data": []}'


class FlakyDeadLetters(MemoryDeadLetters):
    """Takes so many dead letters before it is away for one call."""

    until_away = 1000

    async def add(self, letter: DeadLetter) -> bool:
        self.until_away -= 1
        if self.until_away == -1:
            raise away()
        return await super().add(letter)

    def reasons(self) -> list[str]:
        return [letter.reason for letter in self._by_id.values()]


@dataclass
class Rig:
    """One runner's claims, with everything around them in memory."""

    faults: Faults = field(default_factory=Faults)
    clock: ManualClock = field(default_factory=ManualClock)
    executions: MemoryExecutions = field(default_factory=MemoryExecutions)
    dead_letters: FlakyDeadLetters = field(default_factory=FlakyDeadLetters)
    counters: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.bus = FlakyBus(self.clock)
        numbers = count(1)
        self.claim = ClaimExecutions(
            FaultyExecutions(self.executions, self.faults),
            self.dead_letters,
            self.bus,
            self.clock,
            Timing(),
            RunnerMetrics(self.counters),
            "me",
            lambda: f"t{next(numbers)}",
        )

    async def ask(self, *executions: Execution, skew: timedelta = timedelta()) -> list[Delivery]:
        """Send requests and return them as they arrive."""
        at = self.clock.now() + skew
        requests = [ExecutionRequest(e.id, e.tenant, e.workflow_id, at) for e in executions]
        await self.bus.publish(requests)
        return self.bus.sent()

    def raw(self, *values: bytes) -> list[Delivery]:
        for value in values:
            self.bus.put(value)
        return self.bus.sent()

    def dropped(self, reason: str) -> float:
        return counted(self.counters, "requests_dropped_total", reason=reason)

    async def won(self, deliveries: list[Delivery], *held: str) -> list[str]:
        lease = self.claim.new_lease(deliveries)
        return [execution.id for execution in await self.claim(deliveries, lease, held)]


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_what_is_won_is_leased_to_this_runner(rig: Rig) -> None:
    execution = queued()
    await rig.executions.add([execution])
    deliveries = await rig.ask(execution)
    (won,) = await rig.claim(deliveries, rig.claim.new_lease(deliveries), ())
    assert won.lease == lease("t1", "me", NOW + 30 * SECOND)
    after = await stored(rig.executions, execution)
    assert (after.status, after.lease, after.wake_at) == (
        Status.RUNNING,
        won.lease,
        NOW + 30 * SECOND,
    )


async def test_every_lease_has_a_token_of_its_own_and_begins_now(rig: Rig) -> None:
    first = rig.claim.new_lease([])
    await rig.clock.advance(SECOND)
    second = rig.claim.new_lease([])
    assert first.token != second.token
    assert second.until - first.until == SECOND


async def test_one_claim_serves_a_whole_batch_and_each_execution_once(rig: Rig) -> None:
    executions = [queued(str(number), f"w{number}") for number in range(20)]
    await rig.executions.add(executions)
    won = await rig.won(await rig.ask(*executions, *executions))
    assert sorted(won) == sorted(execution.id for execution in executions)
    assert rig.faults.calls == 1


async def test_what_is_unknown_is_dropped_and_counted(rig: Rig) -> None:
    assert await rig.won(await rig.ask(queued("1"), queued("2"))) == []
    assert (rig.dropped("unknown"), rig.dropped("not-claimable")) == (2, 0)


@pytest.mark.parametrize(
    "execution",
    [
        running(),
        queued(status=Status.PENDING, next_attempt_at=NOW + SECOND),
        queued(status=Status.COMPLETED, active_key=None, wake_at=None),
        queued(status=Status.CANCELLED, active_key=None, wake_at=None),
    ],
    ids=["running", "in backoff", "completed", "cancelled"],
)
async def test_what_cannot_be_claimed_is_left_alone_and_counted(
    rig: Rig, execution: Execution
) -> None:
    rig.executions._put(execution)
    assert await rig.won(await rig.ask(execution)) == []
    assert await stored(rig.executions, execution) == execution
    assert rig.dropped("not-claimable") == 1


async def test_what_this_runner_holds_already_is_not_claimed_again(rig: Rig) -> None:
    held, free = queued("1"), queued("2", "other")
    await rig.executions.add([held, free])
    deliveries = await rig.ask(held, free)
    assert await rig.won(deliveries, held.id) == [free.id]
    assert await rig.won(deliveries[:1], held.id) == []
    assert await stored(rig.executions, held) == held
    assert rig.faults.calls == 1


async def test_an_expired_lease_is_taken_over_as_a_recovery(rig: Rig) -> None:
    rig.executions._put(running())
    await rig.clock.advance(30 * SECOND)
    deliveries = await rig.ask(running())
    (won,) = await rig.claim(deliveries, rig.claim.new_lease(deliveries), ())
    assert (won.recoveries, won.lease) == (1, lease("t1", "me", NOW + 60 * SECOND))


async def test_a_message_that_cannot_be_understood_is_kept_and_copied(rig: Rig) -> None:
    (delivery,) = rig.raw(POISON)
    assert await rig.won([delivery]) == []
    (letter,) = rig.dead_letters._by_id.values()
    assert (letter.record, letter.reason) == (delivery.record, "not JSON")
    assert letter.expires_at - letter.received_at == Timing().retention
    assert rig.bus.dead_letters == [(delivery.record, "not JSON")]
    assert counted(rig.counters, "dead_letters_total") == 1


async def test_poison_does_not_keep_its_neighbours_from_being_claimed(rig: Rig) -> None:
    execution = queued()
    await rig.executions.add([execution])
    batch = [*rig.raw(POISON), *await rig.ask(execution), *rig.raw(b"{}", b"\xff")]
    assert await rig.won(batch) == [execution.id]
    assert len(rig.dead_letters.reasons()) == 3


async def test_the_same_poison_delivered_again_is_kept_and_copied_once(rig: Rig) -> None:
    deliveries = rig.raw(POISON)
    for _ in range(3):
        await rig.won(deliveries)
    assert (len(rig.dead_letters.reasons()), len(rig.bus.dead_letters)) == (1, 1)
    assert counted(rig.counters, "dead_letters_total") == 1


async def test_equal_poison_at_another_offset_is_a_letter_of_its_own(rig: Rig) -> None:
    await rig.won(rig.raw(POISON, POISON))
    assert len(rig.dead_letters.reasons()) == 2


async def test_a_copy_that_fails_does_no_harm(rig: Rig) -> None:
    execution = queued()
    await rig.executions.add([execution])
    batch = [*rig.raw(POISON), *await rig.ask(execution)]
    rig.bus.away = True
    assert await rig.won(batch) == [execution.id]
    assert rig.dead_letters.reasons() == ["not JSON"]


async def test_poison_that_could_not_be_kept_is_kept_when_the_claim_is_repeated(rig: Rig) -> None:
    deliveries = rig.raw(POISON, b"{}")
    rig.dead_letters.until_away = 1
    with pytest.raises(Unavailable):
        await rig.won(deliveries)
    await rig.won(deliveries)
    assert (len(rig.dead_letters.reasons()), len(rig.bus.dead_letters)) == (2, 2)


async def test_a_message_for_a_newer_runner_is_left_to_it(rig: Rig) -> None:
    deliveries = rig.raw(NEWER)
    assert await rig.won(deliveries) == []
    assert (rig.dead_letters.reasons(), rig.bus.dead_letters) == ([], [])
    assert rig.faults.calls == 0


async def test_messages_for_newer_runners_are_counted_beside_those_that_are_claimed(
    rig: Rig,
) -> None:
    execution = queued()
    await rig.executions.add([execution])
    batch = [*rig.raw(NEWER, NEWER), *await rig.ask(execution)]
    assert await rig.won(batch) == [execution.id]
    assert rig.dropped("newer") == 2


@pytest.mark.parametrize("side", ["before", "after"])
async def test_repeated_with_the_same_lease_a_claim_continues_where_it_stopped(side: str) -> None:
    rig = Rig(Faults.at(side, 0))
    executions = [queued(str(number), f"w{number}") for number in range(3)]
    await rig.executions.add(executions)
    deliveries = await rig.ask(*executions)
    lease = rig.claim.new_lease(deliveries)
    with pytest.raises(Unavailable):
        await rig.claim(deliveries, lease, ())
    won = await rig.claim(deliveries, lease, ())
    assert {execution.id for execution in won} == {execution.id for execution in executions}
    assert {(e.lease, e.recoveries, e.seq) for e in won} == {(lease, 0, 2)}


@pytest.mark.parametrize(
    ("skew", "ahead"),
    [
        (timedelta(), timedelta()),
        (3 * MS, 3 * MS),
        (5 * SECOND - MS, 5 * SECOND - MS),
        (5 * SECOND, timedelta()),
        (3600 * SECOND, timedelta()),
        (-3600 * SECOND, timedelta()),
    ],
)
async def test_a_sender_that_is_a_little_ahead_is_believed(
    rig: Rig, skew: timedelta, ahead: timedelta
) -> None:
    deliveries = await rig.ask(queued(), skew=skew)
    assert rig.claim.new_lease(deliveries).until == NOW + ahead + 30 * SECOND


async def test_a_retry_sent_by_a_clock_slightly_ahead_is_not_too_early(rig: Rig) -> None:
    pending = queued(status=Status.PENDING, next_attempt_at=NOW + 3 * MS)
    await rig.executions.add([pending])
    assert await rig.won(await rig.ask(pending, skew=2 * MS)) == []
    assert await rig.won(await rig.ask(pending, skew=3 * MS)) == [pending.id]


async def test_how_long_it_was_queued_is_measured_at_the_first_claim_only(rig: Rig) -> None:
    await rig.executions.add([queued(), replace(queued("2", "other"), attempt=2)])
    await rig.clock.advance(3 * SECOND)
    await rig.won(await rig.ask(queued(), queued("2", "other")))
    assert counted(rig.counters, "execution_queue_age_seconds_count") == 1
    assert counted(rig.counters, "execution_queue_age_seconds_sum") == 3
    assert counted(rig.counters, "claim_batch_size_sum") == 2
