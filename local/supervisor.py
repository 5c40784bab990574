"""The whole platform on one machine: starts everything, keeps it running, stops it in order."""

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Final

from local.broker import EmbeddedBroker
from local.cli.errors import CommandError
from local.cli.options import DEFAULT_URL, URL_VARIABLE
from local.cli.workflows import apply_file
from local.console import Terminal
from local.mongod import EmbeddedMongo
from local.processes import check_port
from local.server import EmbeddedServer
from local.services import (
    EMBEDDED_BROKER,
    SERVICES,
    ServiceProcess,
    ServiceSpec,
    await_ready,
    service_process,
)
from shared.domain.errors import Misconfigured

_READY_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.5
_MOST_RESTARTS: Final = 5
_RESTART_WINDOW_SECONDS: Final = 60.0
_LAST_PORT: Final = 65535
_STOP_SECONDS: Final = 30.0
MONGODB_PORT: Final = 27117
KAFKA_PORT: Final = 19092


@dataclass(frozen=True, slots=True)
class SupervisorSettings:
    """Where things are kept and which ports they use."""

    data: Path
    ports: Mapping[str, int]
    mongodb_uri: str | None
    kafka: str | None
    runners: int = 1

    @classmethod
    def from_environment(
        cls, data: Path, environment: Mapping[str, str] = os.environ, runners: int = 1
    ) -> "SupervisorSettings":
        """Read the ports and servers that the environment names; Misconfigured if it is wrong."""
        defaults = {"MONGODB_PORT": MONGODB_PORT, "KAFKA_PORT": KAFKA_PORT}
        defaults.update({spec.port_setting: spec.default_port for spec in SERVICES})
        ports = {name: _port(name, environment, port) for name, port in defaults.items()}
        return cls(
            data=data.resolve(),
            ports=ports,
            mongodb_uri=environment.get("MONGODB_URI"),
            kafka=environment.get("KAFKA_BOOTSTRAP_SERVERS"),
            runners=runners,
        )

    @property
    def services(self) -> list[tuple[ServiceSpec, int]]:
        """Every service to start, with its port; the second runner's is one above the first's."""
        found = [(spec, self.ports[spec.port_setting]) for spec in SERVICES]
        runner, port = found.pop()
        named = [runner, *(replace(runner, name=f"runner-{n + 1}") for n in range(1, self.runners))]
        return found + [(spec, port + number) for number, spec in enumerate(named)]


@dataclass(slots=True)
class Supervisor:
    """Runs the platform until it is told to stop."""

    settings: SupervisorSettings
    examples: Path | None
    terminal: Terminal = field(default_factory=Terminal)
    _stop: threading.Event = field(default_factory=threading.Event, init=False)
    _servers: dict[str, EmbeddedServer] = field(default_factory=dict, init=False)
    _services: list[ServiceProcess] = field(default_factory=list, init=False)
    _restarts: list[float] = field(default_factory=list, init=False)

    def run(self) -> int:
        """Start everything, wait for the end, stop everything. Returns the exit code."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        with ExitStack() as stack:
            env = self._start_servers(stack)
            stack.callback(self._stop_services)
            self._start_services(env)
            if self._stop.is_set():
                return 0
            self._apply_examples()
            self._tell_what_next()
            return self._watch()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._stop.is_set():
            for service in self._services:
                service.process.kill()
            sys.exit(128 + number)
        self._stop.set()

    def _start_servers(self, stack: ExitStack) -> dict[str, str]:
        """Start what is not given; returns what the services must know of it."""
        settings = self.settings
        self._check_service_ports()
        env = {"HTTP_ALLOW_PRIVATE_ADDRESSES": "true"}
        if settings.mongodb_uri is None:
            mongo = EmbeddedMongo(settings.data / "mongodb", settings.ports["MONGODB_PORT"])
            stack.callback(mongo.stop)
            self._start_server(f"MongoDB on port {mongo.port}", mongo)
            env["MONGODB_URI"] = mongo.uri
        if settings.kafka is None:
            broker = EmbeddedBroker(settings.data / "broker", settings.ports["KAFKA_PORT"])
            stack.callback(broker.stop)
            self._start_server(f"Kafka-compatible broker on port {broker.port}", broker)
            env |= {"KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers, **EMBEDDED_BROKER}
        return env

    def _check_service_ports(self) -> None:
        services = self.settings.services
        _check_distinct({**self.settings.ports, **_ports_of_more_runners(services)})
        for spec, port in services:
            check_port(port, f"the {spec.name} service", spec.port_setting)

    def _start_server(self, what: str, server: EmbeddedServer) -> None:
        self.terminal.say(f"Starting {what} ...")
        began = time.monotonic()
        server.start()
        self._servers[what] = server
        self.terminal.say(f"Started {what} ({time.monotonic() - began:.1f} s)")

    def _start_services(self, env: Mapping[str, str]) -> None:
        colour = {"FORCE_COLOR": "1"} if self.terminal.colour else {"NO_COLOR": "1"}
        shown = {"LOG_FORMAT": "console", **colour, **env}
        for spec, port in self.settings.services:
            service = service_process(spec, port, shown, self.terminal.line)
            self._services.append(service)
            service.process.start()
        began = time.monotonic()
        self.terminal.say("Waiting for the services ...")
        lacking = await_ready(self._services, _READY_SECONDS, lambda: not self._stop.is_set())
        if lacking and not self._stop.is_set():
            reasons = "; ".join(f"{name}: {why}" for name, why in lacking.items())
            raise Misconfigured(f"Not everything started. {reasons}")
        self.terminal.say(f"All services are ready ({time.monotonic() - began:.1f} s)")

    def _apply_examples(self) -> None:
        if self.examples is None:
            return
        os.environ[URL_VARIABLE] = self._services[0].url
        try:
            results = apply_file(self.examples)
        except CommandError as error:
            raise Misconfigured(f"The examples in {self.examples} were refused: {error}") from error
        names = ", ".join(result["workflowId"] for result in results)
        self.terminal.say(f"Applied the examples: {names}")

    def _tell_what_next(self) -> None:
        api = self._services[0].url
        where = "" if api == DEFAULT_URL else f"{URL_VARIABLE}={api} "
        command = f"{where}{_command()}"
        self.terminal.say()
        self.terminal.say("The platform is running. In a second shell:")
        self.terminal.say(
            f"  {command} trigger hello --wait     run a workflow and see what it did"
        )
        self.terminal.say(f"  {command} executions --watch       watch executions as they happen")
        self.terminal.say(f"  API and documentation: {api}/docs")
        self.terminal.say(f"  Data is kept in {self.settings.data}. Ctrl-C stops everything.")
        self.terminal.say()

    def _watch(self) -> int:
        """Start again what ended by itself, until told to stop or it happens too often."""
        while not self._stop.wait(_LOOK_SECONDS):
            ended = self._ended()
            for what, start in ended.items():
                if not self._may_restart():
                    self.terminal.say(f"{what} too often; giving up.")
                    return 1
                self.terminal.say(f"{what}; starting it again.")
                start()
        return 0

    def _ended(self) -> dict[str, Callable[[], None]]:
        """Return what ended by itself, in words, and how it is started; servers come first."""
        servers = {
            f"{what} ended": server.start
            for what, server in self._servers.items()
            if not server.is_running
        }
        services = {
            f"The {service.spec.name} service ended ({service.process.exit_code})": (
                service.process.start
            )
            for service in self._services
            if not service.process.is_running
        }
        return {**servers, **services}

    def _may_restart(self) -> bool:
        now = time.monotonic()
        recent = [at for at in self._restarts if now - at < _RESTART_WINDOW_SECONDS]
        self._restarts = [*recent, now]
        return len(self._restarts) <= _MOST_RESTARTS

    def _stop_services(self) -> None:
        self.terminal.say("Stopping ...")
        for service in self._services:
            service.process.signal(signal.SIGTERM)
        codes = {s.spec.name: s.process.wait(_STOP_SECONDS) for s in self._services}
        unclean = {name: code for name, code in codes.items() if code}
        said = f"with exit codes {unclean}" if unclean else "cleanly"
        self.terminal.say(f"Stopped {said}.")


def _ports_of_more_runners(services: Sequence[tuple[ServiceSpec, int]]) -> dict[str, int]:
    more = services[len(SERVICES) :]
    return {f"RUNNER_PORT + {number}": port for number, (_, port) in enumerate(more, start=1)}


def _check_distinct(ports: Mapping[str, int]) -> None:
    owners: dict[int, str] = {}
    for name, port in ports.items():
        if port in owners:
            raise Misconfigured(f"{owners[port]} and {name} are both {port}; each needs its own.")
        owners[port] = name


def _port(name: str, environment: Mapping[str, str], default: int) -> int:
    text = environment.get(name, str(default))
    if not text.isdigit() or not 0 < int(text) <= _LAST_PORT:
        raise Misconfigured(f"{name} is '{text}'; it must be a port number from 1 to 65535.")
    return int(text)


def _command() -> str:
    """Return how the reader of the screen can call this program."""
    if shutil.which("workflows"):
        return "workflows"
    beside = Path(sys.executable).with_name("workflows")
    try:
        return str(beside.relative_to(Path.cwd()))
    except ValueError:
        return str(beside)
