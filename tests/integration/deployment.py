"""The services as the files of deployment see them, and the tools that check those files."""

import subprocess
import sys
from pathlib import Path

import pytest

from runner_svc.settings import RunnerSettings
from scheduler_svc.settings import SchedulerSettings
from shared.runtime.settings import ServiceSettings, load
from tests.support.servers import ROOT
from workflows_svc.settings import WorkflowsSettings

SETTINGS: dict[str, type[ServiceSettings]] = {
    "workflows_svc": WorkflowsSettings,
    "scheduler_svc": SchedulerSettings,
    "runner_svc": RunnerSettings,
}
DEPENDENCIES = {"mongodb", "kafka"}
FOR_PYTHON = {"PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}

each_service = pytest.mark.parametrize("package", SETTINGS)


def run_tool(name: str, *arguments: str) -> None:
    """Run a linter of the environment that the tests run in; its findings fail the test."""
    command = [str(Path(sys.executable).with_name(name)), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def loaded_with(
    environment: dict[str, str], package: str, monkeypatch: pytest.MonkeyPatch
) -> ServiceSettings:
    """Load the settings from these variables; one that no setting or Python knows fails."""
    settings = SETTINGS[package]
    known = {name.upper() for name in settings.model_fields}
    assert set(environment) - FOR_PYTHON <= known
    ours = {name: value for name, value in environment.items() if name not in FOR_PYTHON}
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    return load(settings, ours)


def default(setting: str) -> str:
    """Return the value of a setting that is not set."""
    value = ServiceSettings.model_fields[setting].default
    return value if isinstance(value, str) else value.get_secret_value()
