"""Sharing the due work: who is alive, and whose shards are whose."""

from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from scheduler_svc.metrics import SchedulerMetrics
from scheduler_svc.use_cases.share import ShareWork
from shared.adapters.memory.clock import ManualClock
from shared.adapters.memory.operations import MemoryMembers
from shared.domain.identity import SHARDS
from tests.support.builders import SECOND
from tests.unit.doubles import counted

ALL = frozenset(range(SHARDS))
LEASE = 15 * SECOND


class Crew:
    """Schedulers that know of each other through one storage."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.members = MemoryMembers()
        self.registries: dict[str, CollectorRegistry] = {}
        self.cut_off: set[str] = set()

    def join(self, name: str, lease: timedelta = LEASE) -> ShareWork:
        registry = self.registries[name] = CollectorRegistry()
        metrics = SchedulerMetrics(registry)
        return ShareWork(
            self.members, self.clock, metrics, name, lease, lambda: name not in self.cut_off
        )


@pytest.fixture
def crew(clock: ManualClock) -> Crew:
    return Crew(clock)


def _mine(share: ShareWork) -> frozenset[int]:
    return frozenset(shard for shard in ALL if share.is_mine(shard))


async def test_one_scheduler_alone_has_all_shards_and_need_not_name_them(crew: Crew) -> None:
    alone = crew.join("a")
    assert _mine(alone) == ALL
    await alone.beat()
    assert alone.shards is None
    assert _mine(alone) == ALL
    assert counted(crew.registries["a"], "scheduler_shards") == SHARDS


async def test_two_schedulers_split_the_shards(crew: Crew) -> None:
    first, second = crew.join("a"), crew.join("b")
    for share in (first, second, first):
        await share.beat()
    assert _mine(first) | _mine(second) == ALL
    assert not _mine(first) & _mine(second)
    assert first.shards
    assert second.shards
    assert counted(crew.registries["a"], "scheduler_members") == 2
    assert counted(crew.registries["b"], "scheduler_shards") == len(second.shards)


async def test_until_the_first_hears_of_the_second_no_shard_is_without_an_owner(
    crew: Crew,
) -> None:
    first, second = crew.join("a"), crew.join("b")
    await first.beat()
    await second.beat()
    assert _mine(first) == ALL
    assert _mine(second) < ALL


async def test_who_leaves_hands_its_shards_over_at_once(crew: Crew) -> None:
    first, second = crew.join("a"), crew.join("b")
    for share in (first, second, first):
        await share.beat()
    await second.leave()
    await first.beat()
    assert first.shards is None


async def test_who_falls_silent_keeps_its_shards_until_its_lease_ends(crew: Crew) -> None:
    first, silent = crew.join("a"), crew.join("b")
    await silent.beat()
    await crew.clock.advance(LEASE - SECOND)
    await first.beat()
    assert first.shards is not None
    await crew.clock.advance(SECOND)
    await first.beat()
    assert first.shards is None


async def test_who_keeps_beating_keeps_its_shards(crew: Crew) -> None:
    first, second = crew.join("a"), crew.join("b")
    await first.beat()
    await second.beat()
    await first.beat()
    before = first.shards
    for _ in range(10):
        await crew.clock.advance(5 * SECOND)
        await first.beat()
        await second.beat()
        assert first.shards == before


async def test_who_comes_back_gets_the_same_shards_again(crew: Crew) -> None:
    first, second = crew.join("a"), crew.join("b")
    for share in (first, second, first):
        await share.beat()
    before = _mine(first), _mine(second)
    await second.leave()
    await first.beat()
    await second.beat()
    await first.beat()
    assert (_mine(first), _mine(second)) == before


async def test_a_scheduler_that_is_cut_off_from_the_bus_leaves_its_share_to_the_others(
    crew: Crew,
) -> None:
    first, second = crew.join("a"), crew.join("b")
    for share in (first, second, first):
        await share.beat()
    crew.cut_off.add("b")
    await second.beat()
    await first.beat()
    assert (_mine(first), _mine(second)) == (ALL, frozenset())
    crew.cut_off.clear()
    for share in (second, first):
        await share.beat()
    assert _mine(first) | _mine(second) == ALL
    assert not _mine(first) & _mine(second)


async def test_schedulers_that_are_all_cut_off_go_on_with_everything(crew: Crew) -> None:
    first, second = crew.join("a"), crew.join("b")
    crew.cut_off |= {"a", "b"}
    for share in (first, second, first):
        await share.beat()
    assert _mine(first) == _mine(second) == ALL
