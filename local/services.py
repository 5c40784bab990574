"""The three services as child processes of one parent, on 127.0.0.1."""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from local.processes import ChildProcess, LineSink


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """How one service is started and reached."""

    name: str
    module: str
    port_setting: str
    default_port: int


WORKFLOWS: Final = ServiceSpec("workflows", "workflows_svc", "WORKFLOWS_PORT", 8081)
SCHEDULER: Final = ServiceSpec("scheduler", "scheduler_svc", "SCHEDULER_PORT", 8082)
RUNNER: Final = ServiceSpec("runner", "runner_svc", "RUNNER_PORT", 8083)
SERVICES: Final = (WORKFLOWS, SCHEDULER, RUNNER)

DEFAULT_RUNNERS: Final = min(os.cpu_count() or 1, 2)
"""A Python process computes on one core; the servers and the other services want some, too."""

MOST_RUNNERS: Final = 4
"""As many as the topic has partitions by default: so many can share it."""

EMBEDDED_BROKER: Final = {
    "KAFKA_IDEMPOTENT_PRODUCER": "false",
    "KAFKA_FETCH_MAX_WAIT": "10ms",
    "KAFKA_SESSION_TIMEOUT": "6s",
}
"""What the services must know of the embedded broker."""


@dataclass(slots=True)
class ServiceProcess:
    """One service, running or not."""

    spec: ServiceSpec
    process: ChildProcess
    port: int

    @property
    def url(self) -> str:
        """Where its HTTP side listens."""
        return f"http://127.0.0.1:{self.port}"

    def readiness(self) -> str | None:
        """Return None if it is ready, else why not."""
        return why_not_ready(self.url)


def service_process(
    spec: ServiceSpec, port: int, env: Mapping[str, str], sink: LineSink | None = None
) -> ServiceProcess:
    """Return a service that is not started yet."""
    command = [sys.executable, "-m", spec.module]
    environment = {"PYTHONUNBUFFERED": "1", "HOST": "127.0.0.1", **env, "PORT": str(port)}
    return ServiceProcess(spec, ChildProcess(spec.name, command, environment, sink=sink), port)


def why_not_ready(url: str) -> str | None:
    """Ask a service for its readiness; None when it is ready."""
    try:
        with urllib.request.urlopen(f"{url}/health/ready", timeout=5) as response:  # noqa: S310
            return None if response.status == HTTPStatus.OK else f"status {response.status}"
    except urllib.error.HTTPError as error:
        with error:
            down: dict[str, str] = json.loads(error.read()).get("down", {})
        return ", ".join(f"{name}: {why}" for name, why in down.items())
    except OSError as error:
        return str(error)


def await_ready(
    services: list[ServiceProcess], seconds: float, still_wanted: Callable[[], bool]
) -> dict[str, str]:
    """Wait until all services are ready; return what the others lacked when time was up."""
    deadline = time.monotonic() + seconds
    while True:
        lacking = {s.spec.name: why for s in services if (why := s.readiness())}
        dead = [s.spec.name for s in services if not s.process.is_running]
        if not lacking or dead or not still_wanted() or time.monotonic() > deadline:
            return {**lacking, **dict.fromkeys(dead, "it has ended")}
        time.sleep(0.1)
