"""What start-deps.sh promises, checked with a stand-in for docker."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shared.adapters.kafka import topics
from shared.bootstrap import kafka_settings
from tests.integration.deployment import DEPENDENCIES, SETTINGS, default
from tests.support.servers import ROOT
from workflows_svc.settings import WorkflowsSettings

SCRIPT = ROOT / "start-deps.sh"


DOCKER = """\
#!/bin/sh
echo "$*" >>"$DOCKER_CALLS"
case "$*" in
  $DOCKER_REFUSES) echo "the reason of docker" >&2; exit 1 ;;
  "compose ps "*) echo some-container ;;
  "inspect "*) echo "$DOCKER_STATE" ;;
esac
"""


@dataclass
class Machine:
    """Runs start-deps.sh where the only programs are a stand-in for Docker and these few."""

    directory: Path
    state: str = "running healthy"
    refuses: str = "nothing"
    timeout: str = "120"

    def __post_init__(self) -> None:
        self.programs.mkdir()
        for name in ("bash", "cat", "dirname", "sleep", "sh"):
            self.programs.joinpath(name).symlink_to(str(shutil.which(name)))

    @property
    def programs(self) -> Path:
        return self.directory / "bin"

    def install_docker(self) -> None:
        stand_in = self.programs / "docker"
        stand_in.write_text(DOCKER)
        stand_in.chmod(0o755)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": str(self.programs),
            "DOCKER_CALLS": str(self.directory / "calls"),
            "DOCKER_STATE": self.state,
            "DOCKER_REFUSES": self.refuses,
            "DEPS_TIMEOUT": self.timeout,
        }
        return subprocess.run(
            [SCRIPT, *arguments],
            cwd=self.directory,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self) -> list[str]:
        """Return the arguments of each call of docker since the last time, and forget them."""
        record = self.directory / "calls"
        calls = record.read_text().splitlines() if record.exists() else []
        record.unlink(missing_ok=True)
        return calls


@pytest.fixture
def bare_machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def machine(bare_machine: Machine) -> Machine:
    bare_machine.install_docker()
    return bare_machine


class TestStartDeps:
    def test_the_script_is_executable_and_parses(self) -> None:
        assert os.access(SCRIPT, os.X_OK)
        subprocess.run(["bash", "-n", SCRIPT], check=True)

    def test_help_needs_no_docker(self, bare_machine: Machine) -> None:
        done = bare_machine.run("--help")
        assert done.returncode == 0
        assert all(option in done.stdout for option in ("--stop", "--volumes", "--wipe"))

    @pytest.mark.parametrize("arguments", [["--nonsense"], ["--volumes"], ["--stop", "kafka"]])
    def test_unknown_arguments_are_refused(self, machine: Machine, arguments: list[str]) -> None:
        done = machine.run(*arguments)
        assert done.returncode == 2
        assert " ".join(arguments) in done.stderr
        assert "Usage:" in done.stderr
        assert machine.calls() == []

    def test_a_wait_that_is_no_number_is_refused(self, machine: Machine) -> None:
        machine.timeout = "soon"
        done = machine.run()
        assert done.returncode == 2
        assert "DEPS_TIMEOUT" in done.stderr

    def test_exactly_the_dependencies_are_started(self, machine: Machine) -> None:
        assert machine.run().returncode == 0
        (up,) = (call.split() for call in machine.calls() if call.startswith("compose up"))
        assert up[:3] == ["compose", "up", "--detach"]
        assert set(up[3:]) == DEPENDENCIES

    def test_the_replica_set_is_initiated(self, machine: Machine) -> None:
        assert machine.run().returncode == 0
        (call,) = (call for call in machine.calls() if call.startswith("compose exec -T mongodb"))
        assert "BECOME_PRIMARY" in call

    async def test_the_topics_are_the_ones_that_the_services_expect(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert machine.run().returncode == 0
        assert topics_created_by(machine.calls()) == await topics_the_code_creates(monkeypatch)

    def test_a_start_says_what_comes_next(self, machine: Machine) -> None:
        said = machine.run().stdout
        assert all(f"python -m {package}" in said for package in SETTINGS)
        assert default("mongodb_uri") in said
        assert default("kafka_bootstrap_servers") in said

    def test_a_start_can_be_repeated(self, machine: Machine) -> None:
        assert machine.run().returncode == 0
        first = machine.calls()
        assert machine.run().returncode == 0
        assert machine.calls() == first

    def test_stop_keeps_the_data(self, machine: Machine) -> None:
        assert machine.run("--stop").returncode == 0
        *_checks, stop = machine.calls()
        assert stop == "compose stop mongodb kafka"

    @pytest.mark.parametrize("arguments", [["--stop", "--volumes"], ["--wipe"]])
    def test_wipe_deletes_the_data(self, machine: Machine, arguments: list[str]) -> None:
        assert machine.run(*arguments).returncode == 0
        *_checks, down = machine.calls()
        assert down == "compose --profile services down --volumes"

    def test_a_start_gives_up_at_its_deadline(self, machine: Machine) -> None:
        machine.state, machine.timeout = "running starting", "1"
        done = machine.run()
        assert done.returncode == 1
        assert "within 1 s" in done.stderr
        assert "compose logs --tail 20 mongodb" in machine.calls()

    def test_a_start_does_not_wait_for_a_container_that_has_ended(self, machine: Machine) -> None:
        machine.state = "exited unhealthy"
        done = machine.run()
        assert done.returncode == 1
        assert "mongodb is not running" in done.stderr

    @pytest.mark.parametrize("arguments", [[], ["--stop"], ["--wipe"]])
    def test_without_docker_the_message_names_the_cure(
        self, bare_machine: Machine, arguments: list[str]
    ) -> None:
        done = bare_machine.run(*arguments)
        assert done.returncode == 1
        assert "Install Docker" in done.stderr

    @pytest.mark.parametrize(
        ("refused", "cure"),
        [
            ("compose version*", "Install the Compose plugin"),
            ("info*", "Start it"),
            ("compose up *", "27017 and 9092 on 127.0.0.1 must be free"),
            ("*kafka-topics.sh*", "docker compose logs kafka"),
        ],
    )
    def test_whatever_docker_refuses_the_message_names_the_cure(
        self, machine: Machine, refused: str, cure: str
    ) -> None:
        machine.refuses = refused
        done = machine.run()
        assert done.returncode == 1
        assert cure in done.stderr
        assert "python -m" not in done.stdout

    def test_the_reason_of_a_silent_daemon_is_repeated(self, machine: Machine) -> None:
        machine.refuses = "info*"
        assert "the reason of docker" in machine.run().stderr


def topics_created_by(calls: list[str]) -> dict[str, int]:
    """Return names and partitions of the topics that these calls of docker create."""
    created = {}
    for words in (call.split() for call in calls if "kafka-topics.sh" in call):
        assert words[:4] == ["compose", "exec", "-T", "kafka"]
        assert {"--create", "--if-not-exists"} <= set(words)
        created[words[words.index("--topic") + 1]] = int(words[words.index("--partitions") + 1])
    return created


async def topics_the_code_creates(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Let the services' own code create its topics on an empty broker and note them."""
    created: dict[str, int] = {}

    class EmptyBroker:
        def __init__(self, **connection: object) -> None: ...
        async def start(self) -> None: ...
        async def list_topics(self) -> list[str]:
            return []

        async def create_topics(self, wanted: list[Any]) -> SimpleNamespace:
            created.update({topic.name: topic.num_partitions for topic in wanted})
            return SimpleNamespace(topic_errors=[])

    monkeypatch.setattr(topics, "AIOKafkaAdminClient", EmptyBroker)
    await topics.TopicKeeper(kafka_settings(WorkflowsSettings(), "tests")).ensure()
    return created
