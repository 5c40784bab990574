"""A platform of its own for each benchmark: servers and services, as processes."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from local.broker import EmbeddedBroker
from local.mongod import EmbeddedMongo
from local.processes import ChildProcess, free_port
from local.services import (
    DEFAULT_RUNNERS,
    EMBEDDED_BROKER,
    SERVICES,
    ServiceProcess,
    await_ready,
    service_process,
)
from tests.support.servers import ROOT
from tests.support.stack import PLUGIN

_READY_SECONDS = 60


@dataclass(frozen=True)
class Platform:
    """The running processes by name, and where they are reached."""

    mongodb_uri: str
    services: dict[str, ServiceProcess]
    processes: dict[str, psutil.Process]

    @property
    def api(self) -> str:
        return self.services["workflows"].url


@contextmanager
def platform(runners: int = DEFAULT_RUNNERS, schedulers: int = 1) -> Iterator[Platform]:
    """Start MongoDB, the broker and the services, as `workflows up` does; stop them at the end."""
    directory = Path(tempfile.mkdtemp(prefix="workflows-bench-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        mongo = EmbeddedMongo(directory / "mongo", free_port())
        mongo.start()
        stack.callback(mongo.stop)
        broker = EmbeddedBroker(directory / "broker", free_port())
        broker.start()
        stack.callback(broker.stop)
        env = {
            **EMBEDDED_BROKER,
            "MONGODB_URI": mongo.uri,
            "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "HTTP_ALLOW_PRIVATE_ADDRESSES": "true",
            "LOG_FORMAT": "json",
            "PYTHONPATH": os.pathsep.join([str(PLUGIN), str(ROOT)]),
        }
        counts = {"scheduler": schedulers, "runner": runners}
        services = _start_services(stack, directory, env, counts)
        processes = {name: _process(service.process) for name, service in services.items()}
        processes["mongodb"] = psutil.Process(mongo.pid)
        processes["broker"] = psutil.Process(broker.pid)
        yield Platform(mongo.uri, services, processes)


def _start_services(
    stack: ExitStack, directory: Path, env: dict[str, str], counts: dict[str, int]
) -> dict[str, ServiceProcess]:
    services: dict[str, ServiceProcess] = {}
    for spec in SERVICES:
        for number in range(counts.get(spec.name, 1)):
            service = service_process(spec, free_port(), env)
            name = spec.name if number == 0 else f"{spec.name}-{number + 1}"
            service.process.log_file = directory / f"{name}.log"
            service.process.start()
            stack.callback(service.process.stop)
            services[name] = service
    lacking = await_ready(list(services.values()), _READY_SECONDS, lambda: True)
    if lacking:
        logs = "\n".join((directory / f"{name}.log").read_text()[-2000:] for name in services)
        raise RuntimeError(f"not ready: {lacking}\n{logs}")
    return services


def _process(child: ChildProcess) -> psutil.Process:
    return psutil.Process(child.pid)
