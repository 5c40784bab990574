"""The servers that one test run shares: one MongoDB, and every broker that can be had here.

They are started once, by the process that starts the test run, and found by
its workers through environment variables. Isolation comes from names: every
test has its own database and its own topic prefix.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from testcontainers.community.kafka import KafkaContainer
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from local.broker import EmbeddedBroker
from local.mongod import EmbeddedMongo
from local.processes import free_port
from shared.domain.errors import Misconfigured
from tests.support.apache_kafka import ApacheKafka, fetch_jars

ROOT = Path(__file__).parents[2]
MONGO_VARIABLE = "TEST_MONGODB_URI"
BROKERS_VARIABLE = "TEST_BROKERS"
_MONGO_PORT = 27017


class Servers:
    """Starts what the tests need and remembers what to say about it."""

    def __init__(self) -> None:
        self.remarks: list[str] = []
        self._stack = ExitStack()
        self._directory = Path(tempfile.mkdtemp(prefix="workflows-tests-"))
        self._stack.callback(shutil.rmtree, self._directory, ignore_errors=True)

    def start(self) -> None:
        """Start everything and publish the addresses to this process and its children."""
        try:
            os.environ[MONGO_VARIABLE] = self._mongo()
            brokers = {"tansu": self._tansu(), "kafka": self._kafka()}
        except BaseException:
            self.stop()
            raise
        there = {name: address for name, address in brokers.items() if address}
        os.environ[BROKERS_VARIABLE] = ",".join(f"{n}={a}" for n, a in there.items())
        self.remarks.append(f"brokers under test: {', '.join(there)}")

    def stop(self) -> None:
        """Stop what was started."""
        self._stack.close()

    def _mongo(self) -> str:
        if uri := os.environ.get("MONGODB_URI"):
            self.remarks.append("MongoDB: the one in MONGODB_URI")
            return uri
        mongo = EmbeddedMongo(self._directory / "mongo", free_port())
        try:
            mongo.start()
        except Misconfigured:
            return self._mongo_container()
        self._stack.callback(mongo.kill)
        self.remarks.append("MongoDB: embedded mongod")
        return mongo.uri

    def _mongo_container(self) -> str:
        container = DockerContainer("mongo:8").with_command("--replSet rs0 --bind_ip_all")
        container = container.with_exposed_ports(_MONGO_PORT)
        container = container.waiting_for(LogMessageWaitStrategy("Waiting for connections"))
        self._stack.enter_context(container)
        address = f"{container.get_container_host_ip()}:{container.get_exposed_port(_MONGO_PORT)}"
        uri = f"mongodb://{address}/?directConnection=true"
        with MongoClient[dict[str, Any]](uri) as client:
            member = {"_id": 0, "host": f"localhost:{_MONGO_PORT}"}
            client.admin.command("replSetInitiate", {"_id": "rs0", "members": [member]})
        self.remarks.append("MongoDB: mongo:8 in a container")
        return uri

    def _tansu(self) -> str | None:
        broker = EmbeddedBroker(self._directory / "tansu", free_port())
        try:
            broker.start()
        except Misconfigured as reason:
            self.remarks.append(f"no embedded broker: {reason}")
            return None
        self._stack.callback(broker.kill)
        return broker.bootstrap_servers

    def _kafka(self) -> str | None:
        if address := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
            self.remarks.append("Apache Kafka: the one in KAFKA_BOOTSTRAP_SERVERS")
            return address
        attempts: list[Callable[[], str]] = [self._kafka_from_jars]
        if shutil.which("docker"):
            attempts.append(self._kafka_container)
        reasons = []
        for attempt in attempts:
            try:
                return attempt()
            except Exception as reason:  # noqa: BLE001 - whatever it was, the run says so and goes on
                reasons.append(str(reason).splitlines()[0])
        self.remarks.append(f"no Apache Kafka ({'; '.join(reasons)}): embedded broker alone")
        return None

    def _kafka_from_jars(self) -> str:
        jars = fetch_jars(ROOT / ".local" / "apache-kafka")
        kafka = ApacheKafka(jars, self._directory / "kafka")
        kafka.start()
        self._stack.callback(kafka.kill)
        self.remarks.append("Apache Kafka: KRaft, from Maven Central jars")
        return kafka.bootstrap_servers

    def _kafka_container(self) -> str:
        container = KafkaContainer("confluentinc/cp-kafka:7.9.0").with_kraft()
        self._stack.enter_context(container)
        self.remarks.append("Apache Kafka: KRaft, in a container")
        address: str = container.get_bootstrap_server()
        return address


def mongodb_uri() -> str:
    """Return the address of the MongoDB of this test run."""
    return os.environ[MONGO_VARIABLE]


def brokers() -> dict[str, str]:
    """Return name and address of the brokers of this test run."""
    pairs = os.environ.get(BROKERS_VARIABLE, "").split(",")
    return dict(pair.split("=", 1) for pair in pairs if pair)
