"""A real Apache Kafka broker (KRaft) from Maven Central jars and the machine's own JDK."""

import base64
import re
import shutil
import socket
import subprocess
import time
import uuid
from pathlib import Path

from local.processes import ChildProcess, free_port

POM = Path(__file__).with_name("kafka-pom.xml")
_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_START_SECONDS = 180
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
"""


class KafkaUnavailable(Exception):
    """Why there is no real Kafka here, in one line."""


class ApacheKafka:
    """One broker that is its own controller; its log lives in `directory`."""

    def __init__(self, jars: Path, directory: Path) -> None:
        self.port = free_port()
        self._classpath = f"{jars}/*"
        self._directory = directory
        self._config = directory / "server.properties"
        self._process: ChildProcess | None = None

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        if not self._config.exists():
            self._format()
        command = [
            *("java", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
            *("-cp", self._classpath, "kafka.Kafka", str(self._config)),
        ]
        log = self._directory / "kafka.log"
        self._process = ChildProcess("kafka", command, log_file=log)
        self._process.start()
        self._await_port(log)

    def stop(self) -> None:
        if self._process:
            self._process.stop(grace=15)

    def kill(self) -> None:
        if self._process:
            self._process.kill()

    def wipe(self) -> None:
        """Forget everything: the next start finds an empty broker."""
        shutil.rmtree(self._directory / "data", ignore_errors=True)
        self._format()

    def _format(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        properties = _PROPERTIES.format(
            port=self.port, controller=free_port(), data=self._directory / "data"
        )
        self._config.write_text(properties)
        # The first bits of zero: an id that begins with "-" reads as an option.
        cluster = base64.urlsafe_b64encode(b"\0" + uuid.uuid4().bytes[1:]).decode().rstrip("=")
        subprocess.run(
            [
                *("java", "-cp", self._classpath, "kafka.tools.StorageTool"),
                *("format", "-t", cluster, "-c", str(self._config)),
            ],
            check=True,
            capture_output=True,
            timeout=_START_SECONDS,
        )

    def _await_port(self, log: Path) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process and self._process.is_running:
            if "Kafka Server started" in log.read_text(errors="replace") or _listens(self.port):
                return
            time.sleep(0.1)
        raise KafkaUnavailable(f"Apache Kafka did not start; its log is {log}")


def fetch_jars(directory: Path) -> Path:
    """Return the folder with Kafka's jars, through Maven the first time."""
    java = shutil.which("java")
    if not java or _java_version(java) < 17:
        raise KafkaUnavailable("no JDK 17 or newer")
    if any(directory.glob("kafka_2.13-*.jar")):
        return directory
    maven = shutil.which("mvn")
    if not maven:
        raise KafkaUnavailable("no Maven")
    partial = directory.with_suffix(".partial")
    done = subprocess.run(
        [maven, "-B", "-q", "-f", str(POM), _PLUGIN, f"-DoutputDirectory={partial}"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode != 0:
        raise KafkaUnavailable("Maven Central cannot be reached")
    shutil.rmtree(directory, ignore_errors=True)
    partial.rename(directory)
    return directory


def _java_version(java: str) -> int:
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', said)
    return int(match[1]) if match else 0


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
