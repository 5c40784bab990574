"""Servers that one test may break: a broker or a MongoDB of its own."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from local.broker import EmbeddedBroker
from local.mongod import EmbeddedMongo
from local.processes import free_port
from tests.support.apache_kafka import ApacheKafka, fetch_jars
from tests.support.servers import ROOT


class Breakable(Protocol):
    """A server that can be started, killed and wiped."""

    def start(self) -> None: ...
    def kill(self) -> None: ...


class OwnBroker:
    """A broker of the kind under test, at an address that stays the same."""

    def __init__(self, kind: str, directory: Path) -> None:
        self._kafka: ApacheKafka | None = None
        if kind == "kafka":
            self._kafka = ApacheKafka(fetch_jars(ROOT / ".local" / "apache-kafka"), directory)
            self._broker: Breakable = self._kafka
            self.address = self._kafka.bootstrap_servers
        else:
            embedded = EmbeddedBroker(directory, free_port())
            self._broker = embedded
            self.address = embedded.bootstrap_servers

    async def start(self) -> None:
        await asyncio.to_thread(self._broker.start)

    async def kill(self) -> None:
        """End it at once."""
        await asyncio.to_thread(self._broker.kill)

    async def wipe(self) -> None:
        """Forget everything it held, while it is down. The embedded one forgets by itself."""
        if self._kafka:
            await asyncio.to_thread(self._kafka.wipe)


@contextmanager
def own_broker(kind: str) -> Iterator[OwnBroker]:
    """Give a broker that is not started yet; it is ended at the end."""
    directory = Path(tempfile.mkdtemp(prefix="workflows-broker-"))
    broker = OwnBroker(kind, directory)
    try:
        yield broker
    finally:
        broker._broker.kill()
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def own_mongo() -> Iterator[EmbeddedMongo]:
    """Give a MongoDB that is not started yet; it is ended at the end."""
    directory = Path(tempfile.mkdtemp(prefix="workflows-mongo-"))
    mongo = EmbeddedMongo(directory, free_port())
    try:
        yield mongo
    finally:
        mongo.kill()
        shutil.rmtree(directory, ignore_errors=True)
