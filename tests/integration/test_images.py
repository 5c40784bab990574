"""What the images promise, checked without a Docker engine."""

import ast
import json
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.integration.deployment import SETTINGS, each_service, loaded_with, run_tool
from tests.support.servers import ROOT

PACKAGES = {"shared", "local", *SETTINGS}


@dataclass(frozen=True)
class Dockerfile:
    """One Dockerfile as its instructions, continued lines joined."""

    instructions: list[tuple[str, str]]

    @classmethod
    def of(cls, package: str) -> "Dockerfile":
        text = (ROOT / package / "Dockerfile").read_text().replace("\\\n", "")
        lines = [line.strip() for line in text.splitlines()]
        split = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
        return cls([(name, rest) for name, rest in split])

    @property
    def final(self) -> "Dockerfile":
        """The stage that becomes the image."""
        last = max(i for i, (name, _) in enumerate(self.instructions) if name == "FROM")
        return Dockerfile(self.instructions[last:])

    def all(self, name: str) -> list[str]:
        return [rest for instruction, rest in self.instructions if instruction == name]

    def the(self, name: str) -> str:
        (only,) = self.all(name)
        return only

    @property
    def environment(self) -> dict[str, str]:
        pairs = [pair for line in self.all("ENV") for pair in shlex.split(line)]
        return dict(pair.split("=", 1) for pair in pairs)

    @property
    def copied(self) -> set[str]:
        """What is copied from the build context."""
        lines = [line.split() for line in self.all("COPY") if not line.startswith("--from")]
        return {source for *sources, _ in lines for source in sources}


class TestImages:
    @each_service
    def test_the_linter_finds_nothing(self, package: str) -> None:
        run_tool("hadolint", f"{package}/Dockerfile")

    @each_service
    def test_the_image_holds_exactly_the_packages_that_the_service_imports(
        self, package: str
    ) -> None:
        assert Dockerfile.of(package).final.copied == packages_needed_by(package)

    @each_service
    def test_dependencies_are_installed_from_the_lock_before_the_source_comes_in(
        self, package: str
    ) -> None:
        everything = Dockerfile.of(package)
        build = everything.instructions[: -len(everything.final.instructions)]
        assert Dockerfile(build).copied == {"requirements.lock"}
        assert "pip install --no-cache-dir -r requirements.lock" in Dockerfile(build).all("RUN")

    @each_service
    def test_the_service_runs_as_a_user_without_rights(self, package: str) -> None:
        user, group = Dockerfile.of(package).final.the("USER").split(":")
        assert int(user) > 0
        assert int(group) > 0

    @each_service
    def test_the_image_starts_the_service_without_a_shell(self, package: str) -> None:
        final = Dockerfile.of(package).final
        assert json.loads(final.the("CMD")) == ["python", "-m", package]
        assert not final.all("ENTRYPOINT")
        assert (ROOT / package / "__main__.py").is_file()

    @each_service
    def test_the_exposed_port_is_the_one_the_service_listens_on_by_default(
        self, package: str
    ) -> None:
        final = Dockerfile.of(package).final
        assert int(final.the("EXPOSE")) == SETTINGS[package].model_fields["port"].default

    @each_service
    def test_the_service_accepts_the_environment_of_its_image(
        self, package: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        environment = Dockerfile.of(package).final.environment
        settings = loaded_with(environment, package, monkeypatch)
        assert settings.host == "0.0.0.0"
        assert settings.port == SETTINGS[package].model_fields["port"].default
        assert settings.log_format == "json"

    @each_service
    @pytest.mark.parametrize("status", [200, 503])
    def test_the_health_check_passes_if_the_service_is_alive(
        self, package: str, status: int, live_answers: "Live"
    ) -> None:
        live_answers.status = status
        check = Dockerfile.of(package).final.the("HEALTHCHECK")
        _python, *arguments = json.loads(check[check.index("[") :])
        environment = {"PORT": str(live_answers.port), "http_proxy": "http://127.0.0.1:1"}
        done = subprocess.run(
            [sys.executable, *arguments], env=environment, capture_output=True, check=False
        )
        assert (done.returncode == 0) is (status == 200)

    def test_the_build_context_is_only_what_the_images_copy(self) -> None:
        lines = (ROOT / ".dockerignore").read_text().splitlines()
        copied = set[str]().union(*(Dockerfile.of(package).copied for package in SETTINGS))
        assert "*" in lines
        assert {line[1:] for line in lines if line.startswith("!")} == copied


def packages_needed_by(package: str) -> set[str]:
    """Return the project's packages that a package imports, directly or not, and itself."""
    needed, open_ends = {package}, {package}
    while open_ends:
        imported = packages_imported_by(open_ends.pop())
        open_ends |= imported - needed
        needed |= imported
    return needed


def packages_imported_by(package: str) -> set[str]:
    names = set[str]()
    for file in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module)
    return {name.partition(".")[0] for name in names} & PACKAGES


class Live(ThreadingHTTPServer):
    """Answers `/health/live` with a status, and everything else with 404."""

    status = 200

    @property
    def port(self) -> int:
        port: int = self.server_address[1]
        return port


class LiveHandler(BaseHTTPRequestHandler):
    server: Live

    def do_GET(self) -> None:
        self.send_response(self.server.status if self.path == "/health/live" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass


@pytest.fixture
def live_answers() -> Iterator[Live]:
    with Live(("127.0.0.1", 0), LiveHandler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
