"""The documents tell the truth: what they name exists, and what exists is named."""

import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from local.cli.app import app
from local.cli.errors import Exit
from local.services import SERVICES
from local.supervisor import SupervisorSettings
from runner_svc.settings import RunnerSettings
from scheduler_svc.settings import SchedulerSettings
from shared.domain.durations import format_duration
from shared.domain.execution import (
    ActionStatus,
    ErrorCategory,
    EventType,
    SkippedBecause,
    SkipReason,
    Status,
)
from shared.runtime.settings import ServiceSettings
from tests.support import asyncapi
from tests.support.servers import ROOT
from workflows_svc.settings import WorkflowsSettings

README = (ROOT / "README.md").read_text()
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text()
DOCUMENTS = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]


def shown(field: FieldInfo) -> str:
    """Return a default as the table shows it."""
    value: Any = field.default
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, timedelta):
        value = format_duration(value)
    if isinstance(value, bool):
        value = str(value).lower()
    return "none" if value in {None, ""} else f"`{value}`"


def rows(settings: type[ServiceSettings], but: set[str]) -> list[str]:
    fields = {n: f for n, f in settings.model_fields.items() if n not in but}
    return [f"| `{n.upper()}` | {shown(f)} | {f.description} |" for n, f in fields.items()]


COMMON = set(ServiceSettings.model_fields)


def test_every_common_setting_is_in_the_readme_with_its_default() -> None:
    assert [
        row for row in rows(ServiceSettings, {"port", "mongodb_timeout"}) if row not in README
    ] == []


@pytest.mark.parametrize("settings", [WorkflowsSettings, SchedulerSettings, RunnerSettings])
def test_every_setting_of_a_service_is_in_the_readme(settings: type[ServiceSettings]) -> None:
    assert [row for row in rows(settings, COMMON) if row not in README] == []
    port = settings.model_fields["port"].default
    assert f"`{port}`" in next(line for line in README.splitlines() if line.startswith("| `PORT`"))


def test_every_port_of_the_all_in_one_is_in_the_readme() -> None:
    ports = SupervisorSettings.from_environment(Path(), {}).ports
    assert {spec.port_setting for spec in SERVICES} < set(ports)
    for name, port in ports.items():
        assert re.search(rf"^\| `{name}` \| `{port}` \|", README, re.MULTILINE), name


def test_every_dependency_has_a_reason_in_the_readme() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    names = {
        re.split(r"[<>=;\[ ]", requirement)[0]
        for requirement in [*project["dependencies"], *extras["local"], *extras["dev"]]
    }
    missing = {name for name in names - {project["name"]} if f"`{name}`" not in README}
    assert missing == set()


def test_every_command_is_in_the_readme_and_no_other() -> None:
    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    used = set(re.findall(r"(?:`|\$ )workflows ([a-z-]+)", README, re.MULTILINE))
    assert used == commands


def test_every_exit_code_is_in_the_readme() -> None:
    for code in Exit:
        assert re.search(rf"^\| {code.value} \| ", README, re.MULTILINE), code


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        named = set(
            re.findall(r"`make ([a-z-]+)`|^make ([a-z-]+)", document.read_text(), re.MULTILINE)
        )
        assert {a or b for a, b in named} <= targets, document


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_every_room_is_on_the_map() -> None:
    rooms = [*(ROOT / "shared").iterdir(), *(ROOT / "tests").iterdir()]
    names = {room.name for room in rooms if (room / "__init__.py").is_file()}
    names |= {"local", "examples", "docs", *(f"{spec.module}" for spec in SERVICES)}
    assert [name for name in sorted(names) if f"{name}/" not in README] == []


def test_every_status_and_error_category_is_in_the_glossary() -> None:
    for word in [*Status, *ErrorCategory]:
        assert f"| `{word.value}` |" in GLOSSARY, word


def test_the_glossary_knows_every_word_of_an_execution_and_no_other() -> None:
    def first_column(heading: str) -> set[str]:
        section = GLOSSARY.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        return set(re.findall(r"^\| `([a-z.-]+)` \|", section, re.MULTILINE))

    assert first_column("Status of an execution") == {*Status}
    assert first_column("Status of an action, or of an item") == {*ActionStatus}
    assert first_column("Events of a history") == {*EventType}
    assert first_column("Why something was skipped") == {*SkipReason, *SkippedBecause}
    assert first_column("Categories of errors") == {*ErrorCategory}


def test_the_asyncapi_text_is_what_the_models_say() -> None:
    assert asyncapi.FILE.read_text() == asyncapi.text(), "run 'make docs'"


def test_log_levels_are_named_as_they_are() -> None:
    levels = get_args(ServiceSettings.model_fields["log_level"].annotation)
    assert ", ".join(f"`{level}`" for level in levels) in README
