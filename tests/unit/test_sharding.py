"""Dividing the shards among schedulers."""

from collections import Counter
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.identity import SHARDS
from shared.domain.sharding import shards_of

ALL = frozenset(range(SHARDS))
NAMES = st.text(min_size=1, max_size=10)
MEMBERS = st.sets(NAMES, min_size=1, max_size=8)
CROWDS = st.sets(NAMES, min_size=2, max_size=8)


def _owners(members: set[str]) -> dict[int, str]:
    owned = [(shard, member) for member in members for shard in shards_of(member, members)]
    assert len(owned) == SHARDS, "a shard has no owner, or two"
    return dict(owned)


@given(MEMBERS)
def test_every_shard_has_exactly_one_owner(members: set[str]) -> None:
    assert _owners(members).keys() == ALL


@given(CROWDS, st.data())
def test_when_a_member_leaves_only_its_shards_move(members: set[str], data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(sorted(members)))
    before, after = _owners(members), _owners(members - {gone})
    moved = {shard for shard in ALL if before[shard] != after[shard]}
    assert moved == {shard for shard, owner in before.items() if owner == gone}


@given(MEMBERS, NAMES)
def test_when_a_member_joins_shards_move_only_to_it(members: set[str], joining: str) -> None:
    before, after = _owners(members), _owners(members | {joining})
    assert {after[shard] for shard in ALL if before[shard] != after[shard]} <= {joining}


@given(st.lists(NAMES, min_size=1, max_size=6, unique=True))
def test_the_order_in_which_members_are_known_does_not_matter(members: list[str]) -> None:
    assert shards_of(members[0], members[::-1]) == shards_of(members[0], members)


def test_one_member_alone_has_all_shards() -> None:
    assert shards_of("only", ["only"]) == ALL


@pytest.mark.parametrize("members", [[], ["another"]])
def test_who_is_not_a_member_has_none(members: list[str]) -> None:
    assert shards_of("stranger", members) == frozenset()


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_the_shards_are_shared_out_within_reason(size: int) -> None:
    fair = SHARDS / size
    total: Counter[int] = Counter()
    for group in range(25):
        members = [str(UUID(int=group * 7919 + n * 104_729)) for n in range(size)]
        shares = [len(shards_of(member, members)) for member in members]
        assert fair / 5 < min(shares)
        assert max(shares) < fair * 2.25
        total.update(dict(enumerate(shares)))
    assert all(0.85 < total[place] / (25 * fair) < 1.15 for place in range(size))
