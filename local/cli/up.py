"""The command `workflows up`: the whole platform on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from local.services import DEFAULT_RUNNERS, MOST_RUNNERS
from local.supervisor import Supervisor, SupervisorSettings


def up(
    examples: Annotated[
        Path | None,
        typer.Option(
            exists=True, help="A definition, or a folder of them, to apply once everything runs."
        ),
    ] = None,
    data: Annotated[Path, typer.Option(help="Where the data is kept.")] = Path(".local"),
    runners: Annotated[
        int,
        typer.Option(min=1, max=MOST_RUNNERS, help="How many runners share the work."),
    ] = DEFAULT_RUNNERS,
) -> None:
    """Start MongoDB, a broker and the three services here, until Ctrl-C.

    Nothing has to be installed or configured. MONGODB_URI and
    KAFKA_BOOTSTRAP_SERVERS, when set, name servers to use instead of the
    embedded ones.
    """
    settings = SupervisorSettings.from_environment(data, runners=runners)
    raise typer.Exit(Supervisor(settings, examples).run())
