"""Commands on executions."""

import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final

import typer

from local.cli.client import Api, resource
from local.cli.errors import CommandError, Exit
from local.cli.options import AsJson, Limit, api
from local.cli.output import (
    Json,
    console,
    local_time,
    milliseconds,
    print_json,
    print_json_line,
    say,
    show_execution,
    show_more,
    status_text,
    table,
)

_ENDED: Final = frozenset({"completed", "failed", "cancelled", "skipped"})
_HEADINGS: Final = ("DUE", "WORKFLOW", "STATUS", "LATE", "EXECUTION")
_WATCH_SECONDS: Final = 1.0
ExecutionId = Annotated[str, typer.Argument(help="The id of an execution.", metavar="EXECUTION")]


def executions(
    workflow: Annotated[str | None, typer.Option(help="Only those of this workflow.")] = None,
    status: Annotated[
        list[str] | None, typer.Option(help="Only those with this status; may be repeated.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on showing what changes, until Ctrl-C.")
    ] = False,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List executions, newest first, each with the instant it was due, or triggered, at."""
    wanted = {"workflowId": workflow, "status": status}
    params = {name: value for name, value in wanted.items() if value}
    client = api()
    if watch:
        _watch(client, params, limit, print_json_line if as_json else _print_row)
        return
    found, more = client.first("/executions", params, limit)
    if as_json:
        print_json(found)
        return
    nothing = "There are no such executions. 'workflows trigger WORKFLOW' starts one."
    table(_HEADINGS, (_row(execution) for execution in found), nothing)
    show_more(limit, more=more)


def execution(execution_id: ExecutionId, as_json: AsJson = False) -> None:
    """Show an execution with its history."""
    _show(api().get(execution_path(execution_id)), as_json=as_json)


def cancel(execution_id: ExecutionId, as_json: AsJson = False) -> None:
    """Cancel an unfinished execution."""
    cancelled = api().post(f"{execution_path(execution_id)}/cancel")
    if as_json:
        print_json(cancelled)
    else:
        say(f"{execution_id}  {cancelled['status']}")


def wait_for_end(client: Api, execution_id: str, timeout: float, *, as_json: bool) -> None:
    """Wait until an execution ends and show it; raise CommandError unless it completed."""
    deadline = time.monotonic() + timeout
    pauses = _pauses()
    while (found := client.get(execution_path(execution_id)))["status"] not in _ENDED:
        if time.monotonic() > deadline:
            still = f"{execution_id} is still {found['status']} after {timeout:g} s."
            raise CommandError(still, Exit.NOT_COMPLETED)
        time.sleep(next(pauses))
    _show(found, as_json=as_json)
    if found["status"] != "completed":
        raise typer.Exit(Exit.NOT_COMPLETED)


def _pauses() -> Iterator[float]:
    """Ask often at first, for an execution of milliseconds, then ever more rarely."""
    pause = 0.005
    while True:
        yield pause
        pause = min(pause * 1.5, 1.0)


def _watch(client: Api, params: Json, limit: int, show: Callable[[Json], None]) -> None:
    """Show each execution once, and once more whenever its status changes."""
    seen: dict[str, str] = {}
    while True:
        for item in reversed(list(client.pages("/executions", params, limit))):
            if seen.get(item["executionId"]) != item["status"]:
                seen[item["executionId"]] = item["status"]
                show(item)
        time.sleep(_WATCH_SECONDS)


def _print_row(item: Json) -> None:
    due, workflow, status, late, execution_id = _row(item)
    console.print(f"{due}  {workflow}", status, late, execution_id)


def _show(found: Json, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        show_execution(found)


def _row(item: Json) -> tuple[Any, ...]:
    return (
        # What is due is queued a little ahead; by hand it is due when it is created.
        local_time(item.get("scheduledFor", item["createdAt"])),
        item["workflowId"],
        status_text(item["status"]),
        milliseconds(item.get("latenessMs")),
        item["executionId"],
    )


def execution_path(execution_id: str) -> str:
    """Return where an execution is. Raises CommandError if its id is empty."""
    return resource("executions", execution_id, "EXECUTION")
