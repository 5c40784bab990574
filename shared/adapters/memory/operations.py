"""Dead letters and scheduler members in memory."""

from dataclasses import replace
from datetime import datetime

from shared.ports.dead_letters import DeadLetter, DeadLetterStatus


class MemoryDeadLetters:
    """A DeadLetterRepository in a dict."""

    def __init__(self) -> None:
        self._by_id: dict[str, DeadLetter] = {}

    async def add(self, letter: DeadLetter) -> bool:
        """See DeadLetterRepository.add."""
        return self._by_id.setdefault(letter.id, letter) is letter

    async def get(self, letter_id: str) -> DeadLetter | None:
        """See DeadLetterRepository.get."""
        return self._by_id.get(letter_id)

    async def find(
        self, status: DeadLetterStatus | None, after: tuple[datetime, str] | None, limit: int
    ) -> list[DeadLetter]:
        """See DeadLetterRepository.find."""
        found = [
            letter
            for letter in self._by_id.values()
            if status in {None, letter.status}
            and (after is None or (letter.received_at, letter.id) < after)
        ]
        return sorted(found, key=lambda d: (d.received_at, d.id), reverse=True)[:limit]

    async def resolve(self, letter_id: str, status: DeadLetterStatus, at: datetime) -> bool:
        """See DeadLetterRepository.resolve."""
        letter = self._by_id.get(letter_id)
        if letter is None or letter.status is not DeadLetterStatus.NEW:
            return False
        self._by_id[letter_id] = replace(letter, status=status, resolved_at=at)
        return True


class MemoryMembers:
    """A MemberRepository in a dict."""

    def __init__(self) -> None:
        self._until: dict[str, datetime] = {}

    async def beat(self, member: str, now: datetime, until: datetime) -> frozenset[str]:
        """See MemberRepository.beat."""
        self._until[member] = until
        return frozenset(name for name, end in self._until.items() if end > now)

    async def leave(self, member: str) -> None:
        """See MemberRepository.leave."""
        self._until.pop(member, None)
