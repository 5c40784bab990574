"""The watermarks of event publishers in memory."""

from dataclasses import replace
from datetime import datetime, timedelta

from shared.ports.lifecycle import Watermark


class MemoryWatermarks:
    """A WatermarkRepository in a dict."""

    def __init__(self) -> None:
        self.by_publisher: dict[str, Watermark] = {}

    async def save(self, mark: Watermark) -> None:
        """See WatermarkRepository.save."""
        there = self.by_publisher.get(mark.publisher)
        if there is None or there.revision < mark.revision:
            self.by_publisher[mark.publisher] = mark

    async def remove(self, publisher: str) -> None:
        """See WatermarkRepository.remove."""
        self.by_publisher.pop(publisher, None)

    async def lapsed(self, now: datetime, limit: int) -> list[Watermark]:
        """See WatermarkRepository.lapsed."""
        found = [mark for mark in self.by_publisher.values() if mark.beat_until < now]
        return sorted(found, key=lambda mark: mark.beat_until)[:limit]

    async def take_over(self, mark: Watermark, until: datetime) -> Watermark | None:
        """See WatermarkRepository.take_over."""
        if self.by_publisher.get(mark.publisher) != mark:
            return None
        taken = replace(mark, beat_until=until)
        self.by_publisher[mark.publisher] = taken
        return taken

    async def settle(self, mark: Watermark) -> None:
        """See WatermarkRepository.settle."""
        if self.by_publisher.get(mark.publisher) == mark:
            del self.by_publisher[mark.publisher]

    async def shortest_retention(self) -> timedelta | None:
        """See WatermarkRepository.shortest_retention."""
        return min((mark.retention for mark in self.by_publisher.values()), default=None)
