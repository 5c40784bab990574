"""What every repository of dead letters and of scheduler members promises."""

from dataclasses import replace
from datetime import timedelta

from shared.ports.bus import Record
from shared.ports.dead_letters import DeadLetter, DeadLetterRepository, DeadLetterStatus
from shared.ports.members import MemberRepository
from tests.support.builders import NOW, SECOND


def _letter(name: str, seconds: int = 0) -> DeadLetter:
    record = Record("execution-requests", 1, 42, NOW, b"key", b"\xff\x00poison")
    return DeadLetter(
        id=name,
        record=record,
        reason="not JSON",
        received_at=NOW + seconds * SECOND,
        expires_at=NOW + timedelta(days=30),
    )


async def test_a_dead_letter_is_kept_once_and_reads_back_equal(
    dead_letters: DeadLetterRepository,
) -> None:
    assert await dead_letters.add(_letter("a")) is True
    assert await dead_letters.add(_letter("a", 5)) is False
    assert await dead_letters.get("a") == _letter("a")
    assert await dead_letters.get("b") is None


async def test_a_dead_letter_is_resolved_once(dead_letters: DeadLetterRepository) -> None:
    await dead_letters.add(_letter("a"))
    assert await dead_letters.resolve("a", DeadLetterStatus.REQUEUED, NOW) is True
    assert await dead_letters.resolve("a", DeadLetterStatus.DISCARDED, NOW) is False
    assert await dead_letters.resolve("b", DeadLetterStatus.DISCARDED, NOW) is False
    assert await dead_letters.get("a") == replace(
        _letter("a"), status=DeadLetterStatus.REQUEUED, resolved_at=NOW
    )


async def test_dead_letters_are_listed_newest_first(dead_letters: DeadLetterRepository) -> None:
    for name, seconds in {"a": 0, "b": 2, "c": 1}.items():
        await dead_letters.add(_letter(name, seconds))
    await dead_letters.resolve("b", DeadLetterStatus.DISCARDED, NOW)
    first = await dead_letters.find(None, None, 2)
    assert [letter.id for letter in first] == ["b", "c"]
    after = (first[-1].received_at, first[-1].id)
    assert [letter.id for letter in await dead_letters.find(None, after, 2)] == ["a"]
    fresh = await dead_letters.find(DeadLetterStatus.NEW, None, 9)
    assert [letter.id for letter in fresh] == ["c", "a"]


async def test_members_live_until_they_stop_beating_or_leave(members: MemberRepository) -> None:
    assert await members.beat("a", NOW, NOW + 15 * SECOND) == {"a"}
    assert await members.beat("b", NOW + 5 * SECOND, NOW + 20 * SECOND) == {"a", "b"}
    assert await members.beat("b", NOW + 15 * SECOND, NOW + 30 * SECOND) == {"b"}
    await members.leave("b")
    await members.leave("nobody")
    assert await members.beat("c", NOW + 16 * SECOND, NOW + 30 * SECOND) == {"c"}
