"""Dead letters and scheduler members in MongoDB, through Beanie."""

from dataclasses import fields
from datetime import datetime
from typing import Any

from pymongo.errors import DuplicateKeyError

from shared.adapters.mongo.connection import MongoConnection
from shared.adapters.mongo.documents import DeadLetterDocument, MemberDocument
from shared.adapters.mongo.errors import translated
from shared.ports.bus import Record
from shared.ports.dead_letters import DeadLetter, DeadLetterStatus


class MongoDeadLetters:
    """The DeadLetterRepository of production."""

    def __init__(self, connection: MongoConnection) -> None:
        self._letters = connection.dead_letters

    async def add(self, letter: DeadLetter) -> bool:
        """See DeadLetterRepository.add."""
        record = {field.name: getattr(letter.record, field.name) for field in fields(Record)}
        document = DeadLetterDocument(
            id=letter.id,
            reason=letter.reason,
            status=letter.status,
            received_at=letter.received_at,
            resolved_at=letter.resolved_at,
            expires_at=letter.expires_at,
            **record,
        )
        with translated():
            try:
                await document.insert()
            except DuplicateKeyError:
                return False
        return True

    async def get(self, letter_id: str) -> DeadLetter | None:
        """See DeadLetterRepository.get."""
        with translated():
            document = await DeadLetterDocument.get(letter_id)
        return _letter(document) if document else None

    async def find(
        self, status: DeadLetterStatus | None, after: tuple[datetime, str] | None, limit: int
    ) -> list[DeadLetter]:
        """See DeadLetterRepository.find."""
        wanted: dict[str, Any] = {}
        if status is not None:
            wanted["status"] = status.value
        if after is not None:
            at, last_id = after
            wanted["$or"] = [
                {"receivedAt": {"$lt": at}},
                {"receivedAt": at, "_id": {"$lt": last_id}},
            ]
        with translated():
            query = DeadLetterDocument.find(wanted).sort("-receivedAt", "-_id").limit(limit)
            return [_letter(document) for document in await query.to_list()]

    async def resolve(self, letter_id: str, status: DeadLetterStatus, at: datetime) -> bool:
        """See DeadLetterRepository.resolve."""
        with translated():
            result = await self._letters.update_one(
                {"_id": letter_id, "status": DeadLetterStatus.NEW.value},
                {"$set": {"status": status.value, "resolvedAt": at}},
            )
        return result.matched_count == 1


class MongoMembers:
    """The MemberRepository of production."""

    def __init__(self, connection: MongoConnection) -> None:
        self._members = connection.members

    async def beat(self, member: str, now: datetime, until: datetime) -> frozenset[str]:
        """See MemberRepository.beat."""
        with translated():
            await self._members.update_one({"_id": member}, {"$set": {"until": until}}, upsert=True)
            alive = await MemberDocument.find({"until": {"$gt": now}}).to_list()
        return frozenset(document.id for document in alive)

    async def leave(self, member: str) -> None:
        """See MemberRepository.leave."""
        with translated():
            await self._members.delete_one({"_id": member})


def _letter(document: DeadLetterDocument) -> DeadLetter:
    return DeadLetter(
        id=document.id,
        record=Record(
            document.topic,
            document.partition,
            document.offset,
            document.timestamp,
            document.key,
            document.value,
        ),
        reason=document.reason,
        received_at=document.received_at,
        status=document.status,
        resolved_at=document.resolved_at,
        expires_at=document.expires_at,
    )
