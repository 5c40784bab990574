"""What an operator does about messages that no runner could understand."""

from dataclasses import dataclass
from datetime import datetime

from shared.domain.errors import Conflict, NotFound
from shared.ports.bus import RecordPublisher
from shared.ports.clock import Clock
from shared.ports.dead_letters import DeadLetter, DeadLetterRepository, DeadLetterStatus


@dataclass(frozen=True, slots=True)
class HandleDeadLetters:
    """The commands and questions behind `/dead-letters`."""

    dead_letters: DeadLetterRepository
    records: RecordPublisher
    clock: Clock

    async def get(self, letter_id: str) -> DeadLetter:
        """Return one dead letter. Raises NotFound."""
        found = await self.dead_letters.get(letter_id)
        if found is None:
            raise NotFound("dead letter", letter_id)
        return found

    async def find(
        self, status: DeadLetterStatus | None, after: tuple[datetime, str] | None, limit: int
    ) -> list[DeadLetter]:
        """Return a page of dead letters, newest first."""
        return await self.dead_letters.find(status, after, limit)

    async def requeue(self, letter_id: str) -> DeadLetter:
        """Put the message back, bytes unchanged, say after a repair. Raises Conflict if resolved.

        It is sent before it is marked: after a crash in between it can be sent
        twice, which a claim makes harmless, but never lost.
        """
        letter = await self._unresolved(letter_id)
        await self.records.requeue(letter.record)
        return await self._resolve(letter, DeadLetterStatus.REQUEUED)

    async def discard(self, letter_id: str) -> DeadLetter:
        """Mark a dead letter as not worth keeping. Raises Conflict if it was resolved before."""
        return await self._resolve(await self._unresolved(letter_id), DeadLetterStatus.DISCARDED)

    async def _unresolved(self, letter_id: str) -> DeadLetter:
        letter = await self.get(letter_id)
        if letter.status is not DeadLetterStatus.NEW:
            raise Conflict(f"Dead letter '{letter_id}' was {letter.status} already.")
        return letter

    async def _resolve(self, letter: DeadLetter, status: DeadLetterStatus) -> DeadLetter:
        await self.dead_letters.resolve(letter.id, status, self.clock.now())
        return await self.get(letter.id)
