"""What schedulers need in order to know of each other."""

from datetime import datetime
from typing import Protocol


class MemberRepository(Protocol):
    """Keeps which schedulers are alive, each until an instant that it keeps moving."""

    async def beat(self, member: str, now: datetime, until: datetime) -> frozenset[str]:
        """Say that `member` lives until `until`; return all members alive at `now`."""
        ...

    async def leave(self, member: str) -> None:
        """Forget `member` at once."""
        ...
