"""Which scheduler handles which shards, decided alike by every scheduler without talking.

Rendezvous hashing (Thaler and Ravishankar, 1998): a shard goes to the member
with the highest hash of (member, shard), so when a member joins or leaves only
its own shards move.
"""

import hashlib
from collections.abc import Collection

from shared.domain.identity import SHARDS


def shards_of(member: str, members: Collection[str]) -> frozenset[int]:
    """Return the shards that fall to `member` among the live `members`."""
    return frozenset(shard for shard in range(SHARDS) if _owner(shard, members) == member)


def _owner(shard: int, members: Collection[str]) -> str | None:
    return max(members, key=lambda member: (_weight(member, shard), member), default=None)


def _weight(member: str, shard: int) -> bytes:
    return hashlib.blake2b(f"{member}/{shard}".encode(), digest_size=8).digest()
