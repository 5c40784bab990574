"""Commands that look into executions, let them go on, or repeat them."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from local.cli.client import Api
from local.cli.documents import read_json
from local.cli.errors import CommandError, Exit
from local.cli.executions import ExecutionId, execution_path, wait_for_end
from local.cli.options import AsJson, Input, Timeout, Wait, api
from local.cli.output import (
    Json,
    local_time,
    print_json,
    say,
    show_events,
    show_execution,
)


def history(
    execution_id: ExecutionId,
    at: Annotated[
        int | None, typer.Option(min=1, help="Show the execution as it was after this event.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the events of an execution, or what it was like at one of them."""
    params = None if at is None else {"at": at}
    found = api().get(f"{execution_path(execution_id)}/history", params)
    if as_json:
        print_json(found)
    elif at is None:
        show_events(found["events"])
    else:
        show_execution(found["state"])


def why(execution_id: ExecutionId, as_json: AsJson = False) -> None:
    """Say what an execution is waiting for, and until when."""
    found = api().get(f"{execution_path(execution_id)}/why")
    if as_json:
        print_json(found)
        return
    say(f"{found['executionId']}  {found['status']}")
    say(f"  {found['why']}")
    if "until" in found:
        say(f"  (here that is {local_time(found['until'])})")


def retry(
    execution_id: ExecutionId, wait: Wait = False, timeout: Timeout = 300, as_json: AsJson = False
) -> None:
    """Let a failed execution go on where it failed."""
    client = api()
    retried = client.post(f"{execution_path(execution_id)}/retry")
    _shown(client, retried, wait=wait, timeout=timeout, as_json=as_json)


def replay(
    execution_id: ExecutionId,
    action: Annotated[
        str, typer.Option("--from", help="The first action to run again.", metavar="ACTION")
    ],
    given: Input = None,
    wait: Wait = False,
    timeout: Timeout = 300,
    as_json: AsJson = False,
) -> None:
    """Repeat an execution from an action on, as a new execution."""
    client = api()
    body = {"fromAction": action, **_edited(given)}
    started = client.post(f"{execution_path(execution_id)}/replay", body)
    _shown(client, started, wait=wait, timeout=timeout, as_json=as_json)


def rerun(
    execution_id: ExecutionId,
    given: Input = None,
    wait: Wait = False,
    timeout: Timeout = 300,
    as_json: AsJson = False,
) -> None:
    """Repeat an execution from its beginning, as a new execution."""
    client = api()
    started = client.post(f"{execution_path(execution_id)}/rerun", _edited(given))
    _shown(client, started, wait=wait, timeout=timeout, as_json=as_json)


def resolve(
    execution_id: ExecutionId,
    action: Annotated[str, typer.Argument(help="The action, or item, that is unknown.")],
    happened: Annotated[bool, typer.Option("--happened", help="The call had its effect.")] = False,
    output: Annotated[
        str | None, typer.Option(help="What the call gave: JSON, or @FILE. With --happened.")
    ] = None,
    did_not_happen: Annotated[
        bool, typer.Option("--did-not-happen", help="It had none: a failed attempt.")
    ] = False,
    again: Annotated[bool, typer.Option("--retry", help="Make the call again.")] = False,
    as_json: AsJson = False,
) -> None:
    """Answer whether a call whose outcome is unknown had its effect."""
    answers = {"happened": happened, "did-not-happen": did_not_happen, "retry": again}
    chosen = [name for name, is_chosen in answers.items() if is_chosen]
    if len(chosen) != 1:
        raise CommandError("Give one of --happened, --did-not-happen and --retry.", Exit.USAGE)
    if output is not None and not happened:
        raise CommandError("--output is possible only with --happened.", Exit.USAGE)
    if not action:
        raise CommandError("ACTION must not be empty.", Exit.USAGE)
    body: Json = {"resolution": chosen[0]}
    if output is not None:
        body["output"] = read_json("--output", output)
    path = f"{execution_path(execution_id)}/actions/{quote(action, safe='')}/resolve"
    client = api()
    _shown(client, client.post(path, body), wait=False, timeout=0, as_json=as_json)


def _edited(given: str | None) -> Json:
    return {} if given is None else {"input": read_json("--input", given)}


def _shown(client: Api, answer: Any, *, wait: bool, timeout: float, as_json: bool) -> None:
    """Show what became of a command, or wait for what becomes of the execution."""
    if wait:
        wait_for_end(client, answer["executionId"], timeout, as_json=as_json)
    elif as_json:
        print_json(answer)
    else:
        say(f"{answer['executionId']}  {answer['status']}")
