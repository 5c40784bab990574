"""Commands on messages that no runner could understand."""

from typing import Annotated

import typer

from local.cli.client import resource
from local.cli.options import LAYOUT, AsJson, Limit, api
from local.cli.output import (
    Json,
    local_time,
    print_json,
    printable,
    say,
    show_more,
    status_text,
    table,
)

app = typer.Typer(help="Messages that no runner could understand.", no_args_is_help=True, **LAYOUT)
LetterId = Annotated[str, typer.Argument(help="The id of a dead letter.", metavar="ID")]


@app.command("list")
def list_(
    status: Annotated[str | None, typer.Option(help="new, requeued or discarded.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List dead letters, newest first."""
    found, more = api().first("/dead-letters", {"status": status} if status else {}, limit)
    if as_json:
        print_json(found)
        return
    rows = (
        (
            local_time(letter["receivedAt"]),
            status_text(letter["status"]),
            f"{letter['topic']}/{letter['partition']}@{letter['offset']}",
            letter["reason"],
            letter["id"],
        )
        for letter in found
    )
    table(("RECEIVED", "STATUS", "ORIGIN", "REASON", "ID"), rows, "There are no dead letters.")
    show_more(limit, more=more)


@app.command()
def show(letter_id: LetterId, as_json: AsJson = False) -> None:
    """Show a dead letter with its bytes."""
    letter = api().get(_path(letter_id))
    if as_json:
        print_json(letter)
        return
    say(f"Dead letter {letter['id']}  {letter['status']}")
    say(f"  reason      {letter['reason']}")
    origin = f"partition {letter['partition']}, offset {letter['offset']}"
    say(f"  origin      {letter['topic']}, {origin}")
    say(f"  received    {local_time(letter['receivedAt'])}")
    shown = printable(letter["text"]) if "text" in letter else f"{letter['value']} (base64)"
    say(f"  bytes       {shown or '(none)'}")


@app.command()
def requeue(letter_id: LetterId, as_json: AsJson = False) -> None:
    """Put a dead letter back onto its topic."""
    _show_change(api().post(f"{_path(letter_id)}/requeue"), as_json=as_json)


@app.command()
def discard(letter_id: LetterId, as_json: AsJson = False) -> None:
    """Mark a dead letter as dealt with."""
    _show_change(api().post(f"{_path(letter_id)}/discard"), as_json=as_json)


def _show_change(letter: Json, *, as_json: bool) -> None:
    if as_json:
        print_json(letter)
    else:
        say(f"{letter['id']}  {letter['status']}")


def _path(letter_id: str) -> str:
    return resource("dead-letters", letter_id, "ID")
