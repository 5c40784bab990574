"""Child processes: started in their own session, their output handed on line by line."""

import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from shared.domain.errors import Misconfigured

LineSink = Callable[[str, str], None]
"""Called with the name of a process and one line it printed."""

_PR_SET_PDEATHSIG: Final = 1
_SERVER_PORTS: Final = (20_000, 32_000)
_CHANCE: Final = random.SystemRandom()
"""Not seeded, so that processes side by side try different ports."""


@dataclass(slots=True)
class ChildProcess:
    """One child process. It dies with its parent, also when that is killed."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    log_file: Path | None = None
    sink: LineSink | None = None
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def pid(self) -> int | None:
        """The process id, or None before the start."""
        return self._process.pid if self._process else None

    @property
    def exit_code(self) -> int | None:
        """The exit code, or None while it runs (negative: the signal that ended it)."""
        return self._process.poll() if self._process else None

    @property
    def is_running(self) -> bool:
        """Tell whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it; its output goes to the log file or, line by line, to the sink."""
        if self.log_file:
            with self.log_file.open("ab") as output:
                self._process = self._spawn(output)
            return
        self._process = self._spawn(subprocess.PIPE)
        threading.Thread(target=self._pump, args=(self._process,), daemon=True).start()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self._process and self.is_running:
            self._process.send_signal(number)

    def stop(self, grace: float = 30) -> int | None:
        """Ask it to end, wait `grace` seconds, then kill it. Returns the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(grace)

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self.signal(signal.SIGKILL)
        self.wait(10)

    def wait(self, seconds: float) -> int | None:
        """Wait for its end at most `seconds`, then kill it. Returns the exit code."""
        if self._process is None:
            return None
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait(10)

    def _spawn(self, output: IO[bytes] | int) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self.command,
            env={**os.environ, **self.env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509
        )

    def _pump(self, process: "subprocess.Popen[bytes]") -> None:
        if process.stdout is None:
            return
        with process.stdout as lines:
            for line in lines:
                if self.sink:
                    self.sink(self.name, line.decode(errors="replace").rstrip("\n"))


def check_port(port: int, owner: str, setting: str) -> None:
    """Raise Misconfigured, naming the port and the cure, if something listens on it already."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise Misconfigured(
                f"Port {port}, which {owner} needs, is in use on 127.0.0.1. Stop the program that "
                f"uses it, or choose another port with {setting}=<port>."
            ) from error


def free_port() -> int:
    """Return a port that nothing listened on a moment ago.

    It lies below those that systems give to outgoing connections, one of which could
    take it before a server that is slow to start does.
    """
    while True:
        port = _CHANCE.randrange(*_SERVER_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
