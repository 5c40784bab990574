"""The command that compares what is stored with what the histories say."""

import sys
from typing import Annotated

import typer

from local.cli.errors import Exit
from local.cli.options import AsJson, api
from local.cli.output import Json, print_json, say, table

_PAGE = 100


def verify(
    workflow: Annotated[str | None, typer.Option(help="Only executions of this workflow.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fold the history of every execution and name those that are stored differently."""
    client = api()
    checked, wrong = 0, list[Json]()
    cursor: str | None = None
    while True:
        wanted = {"workflowId": workflow, "limit": _PAGE, "cursor": cursor}
        params = {name: value for name, value in wanted.items() if value is not None}
        page = client.get("/executions/verification", params)
        checked += page["checked"]
        wrong += page["inconsistent"]
        cursor = page.get("nextCursor")
        _show_progress(checked, last=cursor is None)
        if cursor is None:
            break
    if as_json:
        print_json({"checked": checked, "inconsistent": wrong})
    else:
        _show(checked, wrong)
    if wrong:
        raise typer.Exit(Exit.NOT_COMPLETED)


def _show(checked: int, wrong: list[Json]) -> None:
    rows = [(one["executionId"], said) for one in wrong for said in one["differences"]]
    if rows:
        table(("EXECUTION", "DIFFERENCE"), rows, "")
    many = "execution" if checked == 1 else "executions"
    say(f"{checked} {many} checked, {len(wrong)} inconsistent.")


def _show_progress(checked: int, *, last: bool) -> None:
    """Count on a terminal, apart from the output; a file or a pipe gets none of it."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K" if last else f"\rchecked {checked} executions ...")
        sys.stderr.flush()
