"""The command that shows what schedules would do, without any server."""

import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import typer
from pydantic import ValidationError

from local.cli.documents import Definition, read_definitions
from local.cli.errors import CommandError, Exit
from local.cli.options import AsJson
from local.cli.output import print_json
from local.cli.simulated import show_simulation
from shared.contracts.simulation import SimulationReport, SimulationRequest
from shared.domain.durations import parse_duration
from shared.domain.instants import parse_instant

_COMMAND: Final = (sys.executable, "-m", "scheduler_svc.simulation")


def simulate(
    files: Annotated[
        list[Path], typer.Argument(help="Definitions, folders of them, or - for standard input.")
    ],
    length: Annotated[str, typer.Option("--for", help="How long, as in 7d, 12h or 30m.")] = "7d",
    since: Annotated[
        str | None,
        typer.Option("--from", help="An instant, such as 2027-03-28T00:00:00Z; by default, now."),
    ] = None,
    takes: Annotated[str, typer.Option(help="How long an execution takes, as in 30s.")] = "1s",
    as_json: AsJson = False,
) -> None:
    """Show what schedulers would do with definitions, were they created at an instant.

    The scheduler's own code runs, over time that passes in leaps; no server is needed.
    """
    definitions = read_definitions(files)
    asked = _request(definitions, length, since, takes)
    report = _run(asked)
    if report.refused:
        raise _refusal(report, definitions)
    shown = report.model_dump(mode="json", by_alias=True, exclude_none=True)
    if as_json:
        print_json(shown)
    else:
        show_simulation(shown, takes)


def _request(
    definitions: Sequence[Definition], length: str, since: str | None, takes: str
) -> SimulationRequest:
    """Put together what is asked. Raises CommandError naming the option that is wrong."""
    contents = [definition.content for definition in definitions]
    given = {"--for": length, "--takes": takes}
    try:
        lengths = {option: _duration(option, text) for option, text in given.items()}
        begin = None if since is None else parse_instant(since)
    except ValueError as error:
        raise CommandError(f"--from {error}.", Exit.USAGE) from error
    try:
        return SimulationRequest(
            definitions=contents, since=begin, length=lengths["--for"], takes=lengths["--takes"]
        )
    except ValidationError as error:
        raise CommandError("--for must be longer than 0.", Exit.USAGE) from error


def _duration(option: str, text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise CommandError(f"{option} {error}.", Exit.USAGE) from error


def _run(asked: SimulationRequest) -> SimulationReport:
    """Let the scheduler's package do it, in a process of its own, as all that is a service's."""
    given = asked.model_dump_json(by_alias=True).encode()
    ran = subprocess.run(_COMMAND, input=given, capture_output=True, check=False)
    if ran.returncode:
        lines = ran.stderr.decode(errors="replace").strip().splitlines()
        raise CommandError("The simulation ended early.", Exit.UNAVAILABLE, tuple(lines[-1:]))
    return SimulationReport.model_validate_json(ran.stdout)


def _refusal(report: SimulationReport, definitions: Sequence[Definition]) -> CommandError:
    first = report.refused[0].definition
    details = tuple(f"{r.pointer}: {r.detail}" for r in report.refused if r.definition == first)
    return CommandError(f"{definitions[first].origin}: Invalid input", Exit.INVALID, details)
