"""What the embedded servers have in common: one process each, a port, a folder."""

from pathlib import Path
from typing import ClassVar

from local.processes import ChildProcess


class EmbeddedServer:
    """A server that this process starts and stops, on 127.0.0.1 only."""

    grace_seconds: ClassVar[float] = 30

    def __init__(self, directory: Path, port: int) -> None:
        self.port = port
        self._directory = directory
        self._process: ChildProcess | None = None

    @property
    def is_running(self) -> bool:
        """Tell whether it was started and has not ended."""
        return self._process is not None and self._process.is_running

    @property
    def pid(self) -> int | None:
        """Its process id, or None before the start."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it and wait until it serves. Raises Misconfigured with the cure."""
        raise NotImplementedError

    def stop(self) -> None:
        """Ask it to end, and kill it if it has not after `grace_seconds`."""
        if self._process:
            self._process.stop(self.grace_seconds)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process:
            self._process.kill()
