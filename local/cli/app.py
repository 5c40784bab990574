"""The command `workflows`."""

import sys

import typer

from local.cli import (
    actions,
    dead_letters,
    executions,
    occurrences,
    operations,
    pauses,
    schedules,
    simulation,
    up,
    verification,
    workflows,
)
from local.cli.errors import CommandError, Exit
from local.cli.options import LAYOUT
from shared.domain.errors import Misconfigured

app = typer.Typer(
    name="workflows",
    help="Define, run and watch workflows. WORKFLOWS_API_URL says where the API is.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    **LAYOUT,
)
app.command("up")(up.up)
app.command("apply")(workflows.apply)
app.command("list")(workflows.list_)
app.command("get")(workflows.get)
app.command("preview")(schedules.preview)
app.command("simulate")(simulation.simulate)
app.command("occurrences")(occurrences.occurrences)
app.command("why-not")(occurrences.why_not)
app.command("backfill")(occurrences.backfill)
app.command("trigger")(workflows.trigger)
app.command("executions")(executions.executions)
app.command("execution")(executions.execution)
app.command("cancel")(executions.cancel)
app.command("history")(operations.history)
app.command("why")(operations.why)
app.command("retry")(operations.retry)
app.command("replay")(operations.replay)
app.command("rerun")(operations.rerun)
app.command("resolve")(operations.resolve)
app.command("verify")(verification.verify)
app.command("actions")(actions.actions)
app.command("pause")(pauses.pause)
app.command("resume")(pauses.resume)
app.command("enable")(workflows.enable)
app.command("disable")(workflows.disable)
app.command("delete")(workflows.delete)
app.add_typer(dead_letters.app, name="dead-letters")


def main() -> None:
    """Run the command line; an error is a line, with one more per field, and an exit code."""
    try:
        app()
    except CommandError as error:
        sys.stderr.write(f"error: {error.headline}\n")
        sys.stderr.writelines(f"  {detail}\n" for detail in error.details)
        sys.exit(error.code)
    except Misconfigured as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(Exit.USAGE)


if __name__ == "__main__":
    main()
