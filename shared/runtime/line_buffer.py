"""A logger that gathers lines for a few milliseconds and writes them in one go."""

import asyncio
import atexit
import threading
from typing import Final, TextIO

_DELAY_SECONDS: Final = 0.02
_MOST_LINES: Final = 1000


class LineBuffer:
    """What structlog writes to: one system call per line would cost a busy service a tenth.

    Lines wait 20 ms at most while an event loop runs; without one they are
    written at once. What waits when the process exits is written then; a kill
    loses it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._waiting: list[str] = []
        self._scheduled = False
        atexit.register(self._write_out)

    def msg(self, line: str) -> None:
        """Take a line, and see to it that it gets written, now or within 20 ms."""
        with self._lock:
            self._waiting.append(line)
            if self._scheduled and len(self._waiting) < _MOST_LINES:
                return
            full = len(self._waiting) >= _MOST_LINES
        if full or not self._schedule():
            self._write_out()

    debug = info = warning = warn = error = critical = fatal = exception = log = msg

    def _schedule(self) -> bool:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        self._scheduled = True
        loop.call_later(_DELAY_SECONDS, self._write_out)
        return True

    def _write_out(self) -> None:
        with self._lock:
            self._scheduled = False
            waiting, self._waiting = self._waiting, []
            if waiting:
                waiting.append("")
                self._stream.write("\n".join(waiting))
                self._stream.flush()
