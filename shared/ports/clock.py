"""What the core needs to know of time."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The one source of "now" for a service.

    All services of one installation agree to within milliseconds (they follow
    the database's clock), and a step of the machine's clock does not show.
    """

    def now(self) -> datetime:
        """Return the present instant: aware, UTC, in whole milliseconds."""
        ...

    async def sleep_until(self, instant: datetime) -> None:
        """Return as soon as `now()` is at or past `instant`; at once if it already is."""
        ...
