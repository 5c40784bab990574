"""`workflows up`: the whole platform on one machine, as its user starts, breaks and stops it."""

import asyncio
import json
import shlex
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil
import pytest

from local.cli.errors import Exit
from local.processes import ChildProcess, free_port
from local.services import WORKFLOWS, why_not_ready
from tests.support.command_line import COMMAND, CommandLine
from tests.support.servers import ROOT
from tests.support.stack import Json
from tests.support.waiting import eventually

pytestmark = pytest.mark.xdist_group("up")

PORTS = ("WORKFLOWS_PORT", "SCHEDULER_PORT", "RUNNER_PORT", "MONGODB_PORT", "KAFKA_PORT")
RUNNING = "Ctrl-C stops everything."


def free_ports() -> dict[str, int]:
    """Return a port for each setting, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in PORTS]
        return {name: s.getsockname()[1] for name, s in zip(PORTS, sockets, strict=True)}


@dataclass
class Up:
    """One `workflows up` as a process, with servers, ports and data of its own."""

    data: Path
    ports: dict[str, int] = field(default_factory=free_ports)
    lines: list[str] = field(default_factory=list)
    _process: ChildProcess | None = None

    def start(self, *arguments: str, **environment: str) -> None:
        """Start it; the servers that the environment may name are not used."""
        servers = ("-u", "MONGODB_URI", "-u", "KAFKA_BOOTSTRAP_SERVERS")
        command = ["env", *servers, COMMAND, "up", "--data", str(self.data), *arguments]
        if "--runners" not in arguments:
            command += ["--runners", "1"]
        ports = {name: str(port) for name, port in self.ports.items()}
        env = {"PYTHONPATH": str(ROOT), "WORKFLOWS_API_URL": self.url, **ports, **environment}
        self._process = ChildProcess("up", command, env, sink=self._heard)
        self._process.start()

    def _heard(self, _: str, line: str) -> None:
        self.lines.append(line)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['WORKFLOWS_PORT']}"

    @property
    def workflows(self) -> CommandLine:
        return CommandLine(self.url)

    @property
    def process(self) -> ChildProcess:
        assert self._process is not None
        return self._process

    def children(self) -> dict[str, psutil.Process]:
        """Return its child processes by their module or program."""
        found = {}
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.Error):
                command = child.cmdline()
                if not command:
                    continue
                program, *words = command
                found[words[1] if words[:1] == ["-m"] else Path(program).name] = child
        return found

    async def says(self, text: str) -> str:
        """Wait until it has printed a line with this text; returns the line."""

        async def said() -> str | None:
            line = next((line for line in list(self.lines) if text in line), None)
            assert line or self.process.is_running, "\n".join(self.lines)
            return line

        try:
            return await eventually(said) or ""
        except AssertionError as error:
            raise AssertionError("\n".join(self.lines)) from error

    async def ends(self, number: signal.Signals | None = None) -> int | None:
        """Wait for its end, after a signal if need be; no process is left. Returns the code."""
        if number is not None:
            self.process.signal(number)

        async def code() -> int | None:
            return self.process.exit_code

        ended = await eventually(code, lambda found: found is not None)
        await eventually(self._left, lambda left: not left)
        return ended

    async def _left(self) -> list[psutil.Process]:
        """Return every process that this one started, however far down; they inherit its URL."""
        return [process for process in psutil.process_iter() if _api_of(process) == self.url]


def _api_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("WORKFLOWS_API_URL")
    except psutil.Error:
        return None


@contextmanager
def platform(data: Path) -> Iterator[Up]:
    """Give a platform that is not started yet; it is ended at the end."""
    up = Up(data)
    try:
        yield up
    finally:
        if up._process and up.process.is_running:
            up.process.stop()


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """A platform of the test's own."""
    with platform(tmp_path / "data") as made:
        yield made


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Up]:
    """A platform that runs the examples, which call it at the port it has here."""
    directory = tmp_path_factory.mktemp("up")
    with platform(directory / "data") as made:
        default, here = f":{WORKFLOWS.default_port}/", f":{made.ports['WORKFLOWS_PORT']}/"
        for path in (ROOT / "examples").glob("*.json"):
            (directory / path.name).write_text(path.read_text().replace(default, here))
        made.start("--examples", str(directory))
        await made.says(RUNNING)
        yield made


async def completed(up: Up, workflow_id: str) -> list[Json]:
    """Return the completed executions of a workflow, newest first."""
    words = ("executions", "--workflow", workflow_id, "--status", "completed", "--json")
    found: list[Json] = (await up.workflows(*words)).json
    return found


async def test_a_start_says_what_to_do_next(running: Up) -> None:
    said = "\n".join(line for line in running.lines if " | " not in line)
    for server in ("MongoDB", "Kafka-compatible broker"):
        assert f"Started {server} on port " in said
    assert "All services are ready" in said
    assert f"{running.url}/docs" in said
    assert f"Data is kept in {running.data}." in said
    assert "executions --watch" in said
    assert "\x1b" not in "".join(running.lines)


async def test_every_example_is_loaded(running: Up) -> None:
    ids = {json.loads(p.read_text())["workflowId"] for p in (ROOT / "examples").glob("*.json")}
    applied = (await running.says("Applied the examples: ")).partition(": ")[2]
    assert set(applied.split(", ")) == ids
    listed = await running.workflows("list", "--json")
    assert {workflow["workflowId"] for workflow in listed.json} == ids


async def test_the_command_that_it_recommends_runs_a_workflow(running: Up) -> None:
    line = await running.says("trigger hello --wait")
    where, program, *words = shlex.split(line.strip().split("   ", maxsplit=1)[0])
    assert where == f"WORKFLOWS_API_URL={running.url}"
    assert Path(program).name == "workflows"
    done = await running.workflows(*words)
    assert done.lines[0].endswith("completed")
    await running.says("Hello, world")


async def test_an_example_that_calls_the_platform_reaches_it(running: Up) -> None:
    done = await running.workflows("trigger", "order", "--wait", "--json")
    assert [action["status"] for action in done.json["actions"]] == ["completed"] * 3


async def test_the_periodic_example_completes_executions(running: Up) -> None:
    found = await eventually(lambda: completed(running, "heartbeat"))
    assert {execution["trigger"] for execution in found} == {"periodic"}


async def test_nothing_listens_beyond_this_machine(running: Up) -> None:
    listening = [
        connection.laddr
        for child in running.children().values()
        for connection in child.net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert {address.port for address in listening} == set(running.ports.values())


async def test_a_service_that_dies_is_reported_and_started_again(running: Up) -> None:
    before = running.children()
    before["scheduler_svc"].kill()
    await running.says("The scheduler service ended (-9); starting it again.")
    url = f"http://127.0.0.1:{running.ports['SCHEDULER_PORT']}"
    await eventually(lambda: asyncio.to_thread(why_not_ready, url), lambda trouble: not trouble)
    after = running.children()
    assert after.keys() == before.keys()
    assert {name for name, child in after.items() if child != before[name]} == {"scheduler_svc"}


@pytest.mark.parametrize(
    ("program", "named"), [("tansu", "Kafka-compatible broker"), ("mongod", "MongoDB")]
)
async def test_a_server_that_dies_is_reported_and_started_again(
    running: Up, program: str, named: str
) -> None:
    (server,) = (child for name, child in running.children().items() if program in name)
    server.kill()
    port = running.ports["KAFKA_PORT" if program == "tansu" else "MONGODB_PORT"]
    await running.says(f"{named} on port {port} ended; starting it again.")
    for setting in ("WORKFLOWS_PORT", "SCHEDULER_PORT", "RUNNER_PORT"):
        url = f"http://127.0.0.1:{running.ports[setting]}"
        ask = partial(asyncio.to_thread, why_not_ready, url)
        await eventually(ask, lambda trouble: not trouble)
    done = await running.workflows("trigger", "hello", "--wait", "--json")
    assert done.json["status"] == "completed"


async def test_an_interrupt_stops_everything_and_the_data_survives(up: Up) -> None:
    up.start("--examples", str(ROOT / "examples" / "hello.json"))
    await up.says(RUNNING)
    first = (await up.workflows("trigger", "hello", "--wait", "--json")).json
    assert await up.ends(signal.SIGINT) == 0
    assert "Stopped cleanly." in up.lines

    up.ports = free_ports()
    up.lines.clear()
    up.start()
    await up.says(RUNNING)
    assert [e["executionId"] for e in await completed(up, "hello")] == [first["executionId"]]
    again = (await up.workflows("trigger", "hello", "--wait", "--json")).json
    assert (again["status"], again["version"]) == ("completed", 1)
    assert await up.ends(signal.SIGTERM) == 0


async def test_a_service_that_keeps_ending_ends_everything(up: Up) -> None:
    up.start()
    await up.says(RUNNING)
    for restarts in range(6):

        async def runs(wanted: int = restarts) -> bool:
            ended = sum("The scheduler service ended (-9)" in line for line in up.lines)
            return ended == wanted and "scheduler_svc" in up.children()

        await eventually(runs)
        up.children()["scheduler_svc"].kill()
    assert await up.ends() == 1
    assert "The scheduler service ended (-9) too often; giving up." in up.lines


async def test_an_interrupt_while_it_starts_stops_it(up: Up) -> None:
    up.start()
    await up.says("Starting Kafka-compatible broker")
    assert await up.ends(signal.SIGINT) == 0
    assert not [line for line in up.lines if RUNNING in line]


async def test_nothing_outlives_it_when_it_is_killed(up: Up) -> None:
    up.start()
    await up.says("Started Kafka-compatible broker")
    assert len(up.children()) >= 2
    assert await up.ends(signal.SIGKILL) == -signal.SIGKILL


@pytest.mark.parametrize("setting", PORTS)
async def test_a_busy_port_is_named_with_the_setting_that_changes_it(up: Up, setting: str) -> None:
    with socket.create_server(("127.0.0.1", up.ports[setting])):
        up.start()
        assert await up.ends() == Exit.USAGE
    (error,) = (line for line in up.lines if line.startswith("error: "))
    assert f"Port {up.ports[setting]}" in error
    assert f"{setting}=" in error


async def test_two_services_on_one_port_are_refused_by_name(up: Up) -> None:
    up.start(RUNNER_PORT=str(up.ports["SCHEDULER_PORT"]))
    assert await up.ends() == Exit.USAGE
    said = "\n".join(up.lines)
    assert "SCHEDULER_PORT and RUNNER_PORT are both" in said


async def test_several_runners_share_the_work_from_ports_in_a_row(up: Up) -> None:
    up.ports["RUNNER_PORT"] = first = free_port()
    up.start("--runners", "2", "--examples", str(ROOT / "examples" / "hello.json"))
    await up.says(RUNNING)
    for port in (first, first + 1):
        assert why_not_ready(f"http://127.0.0.1:{port}") is None
    done = await up.workflows("trigger", "hello", "--wait", "--json")
    assert done.json["status"] == "completed"
    assert await up.ends(signal.SIGINT) == 0
    assert "Stopped cleanly." in up.lines


async def test_a_service_on_the_port_of_the_second_runner_is_named(up: Up) -> None:
    up.ports["RUNNER_PORT"] = up.ports["SCHEDULER_PORT"] - 1
    up.start("--runners", "2")
    assert await up.ends() == Exit.USAGE
    assert "SCHEDULER_PORT and RUNNER_PORT + 1 are both" in "\n".join(up.lines)


@pytest.mark.parametrize("value", ["http", "65536", ""])
async def test_a_port_that_is_none_is_refused_by_name(up: Up, value: str) -> None:
    up.start(SCHEDULER_PORT=value)
    assert await up.ends() == Exit.USAGE
    assert [line for line in up.lines if line.startswith(f"error: SCHEDULER_PORT is '{value}'")]
    assert not up.data.exists()
