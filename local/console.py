"""One terminal for several processes: each line with the name of who printed it."""

import os
import sys
import threading
from collections.abc import Mapping
from typing import Final, TextIO

_COLOURS: Final = {
    "workflows": "36",
    "scheduler": "35",
    "runner": "32",
    "mongodb": "34",
    "broker": "33",
}
_WIDTH: Final = 9


class Terminal:
    """Prints whole lines from several threads; in colour where somebody looks."""

    def __init__(self, stream: TextIO = sys.stdout, env: Mapping[str, str] = os.environ) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self.colour = stream.isatty() and "NO_COLOR" not in env

    def line(self, name: str, text: str) -> None:
        """Print a line that a process printed."""
        label = f"{name:<{_WIDTH}}"
        if self.colour:
            label = f"\x1b[{_COLOURS.get(name.split('-', maxsplit=1)[0], '37')}m{label}\x1b[0m"
        self._write(f"{label} | {text}")

    def say(self, text: str = "") -> None:
        """Print a line of our own."""
        self._write(f"\x1b[1m{text}\x1b[0m" if self.colour and text else text)

    def _write(self, text: str) -> None:
        with self._lock:
            self._stream.write(f"{text}\n")
            self._stream.flush()
