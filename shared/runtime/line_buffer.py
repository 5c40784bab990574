"""A text stream that gathers lines for a few milliseconds and writes them in one go."""

import asyncio
import atexit
from typing import Final, TextIO

_DELAY_SECONDS: Final = 0.02
_MOST_LINES: Final = 1000


class LineBuffer:
    """Stands in for a stream: one system call per line would cost a busy service a tenth.

    Lines wait 20 ms at most while an event loop runs; without one they are
    written at once. What waits when the process exits is written then; a kill
    loses it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._waiting: list[str] = []
        self._scheduled = False
        atexit.register(self._write_out)

    def write(self, text: str) -> int:
        """Take text to be written soon."""
        self._waiting.append(text)
        return len(text)

    def flush(self) -> None:
        """See to it that what was taken gets written, now or within 20 ms."""
        if len(self._waiting) >= _MOST_LINES:
            self._write_out()
        elif not self._scheduled:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                self._write_out()
                return
            self._scheduled = True
            loop.call_later(_DELAY_SECONDS, self._write_out)

    def _write_out(self) -> None:
        self._scheduled = False
        waiting, self._waiting = self._waiting, []
        self._stream.write("".join(waiting))
        self._stream.flush()
