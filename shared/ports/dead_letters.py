"""What the core needs of the place where dead letters are kept."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from shared.ports.bus import Record


class DeadLetterStatus(StrEnum):
    """What an operator did about a dead letter."""

    NEW = "new"
    REQUEUED = "requeued"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that no runner could understand, and why. `id` follows from its content."""

    id: str
    record: Record
    reason: str
    received_at: datetime
    expires_at: datetime
    status: DeadLetterStatus = DeadLetterStatus.NEW
    resolved_at: datetime | None = field(default=None)


class DeadLetterRepository(Protocol):
    """Keeps dead letters until an operator or the retention removes them."""

    async def add(self, letter: DeadLetter) -> bool:
        """Keep a dead letter; False if this very one is kept already."""
        ...

    async def get(self, letter_id: str) -> DeadLetter | None:
        """Return one dead letter, or None."""
        ...

    async def find(
        self, status: DeadLetterStatus | None, after: tuple[datetime, str] | None, limit: int
    ) -> list[DeadLetter]:
        """Return dead letters, newest first, those behind `after` in that order."""
        ...

    async def resolve(self, letter_id: str, status: DeadLetterStatus, at: datetime) -> bool:
        """Mark a NEW dead letter as dealt with; False if it is not NEW any more."""
        ...
