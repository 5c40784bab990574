"""The command that shows when workflows run."""

from typing import Annotated

import typer

from local.cli.options import AsJson, api
from local.cli.output import Json, columns, local_instant, print_json, say
from local.cli.workflows import WorkflowId, workflow_path


def preview(
    workflow: WorkflowId,
    since: Annotated[
        str | None,
        typer.Option("--from", help="An instant, such as 2027-03-28T00:00:00Z; by default, now."),
    ] = None,
    count: Annotated[
        int, typer.Option("--count", min=1, max=1000, help="How many to show at most.")
    ] = 10,
    duration: Annotated[
        str | None,
        typer.Option(
            "--duration",
            help="How long an execution takes, such as 90s; by default, as long as of late.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show when a workflow is due next, and what would keep it from running then."""
    given = {"from": since, "duration": duration}
    asked = {"count": count, **{name: text for name, text in given.items() if text is not None}}
    found = api().get(f"{workflow_path(workflow)}/preview", asked)
    if as_json:
        print_json(found)
        return
    _show(found, workflow)
    if not found["enabled"]:
        state, cure = ("paused", "resume") if found.get("paused") else ("disabled", "enable")
        say(f"'{workflow}' is {state}: none of them fires until 'workflows {cure} {workflow}'.")


def _show(found: Json, workflow: str) -> None:
    """Print the instants; what is more than their time has a column only where there is any."""
    items, there = found["items"], found.get("timezone", "THE TRIGGER'S ZONE")
    expected = [_expected(item) for item in items]
    columns(
        {
            "HERE": [local_instant(item["at"]) for item in items],
            f"IN {there}": [item["local"] for item in items],
            "TRIGGER": [item.get("trigger", "") for item in items],
            "EXPECTED": expected,
        },
        f"Nothing: '{workflow}' has no instants to come.",
    )
    assumed = found["assumed"]
    if any(expected):
        say(f"EXPECTED is what happens if an execution takes {_length(assumed)}.")
    elif items and assumed["source"] == "given":
        say(f"All of them fire if an execution takes {_length(assumed)}.")


def _length(assumed: Json) -> str:
    """Return how long an execution is assumed to take, and why."""
    if assumed["source"] == "given":
        return str(assumed["duration"])
    return f"{assumed['duration']}, the median of {assumed['executions']} recent ones"


def _expected(item: Json) -> str:
    """Return what is to be expected of an instant, unless it simply fires."""
    match item["expected"]:
        case "skipped":
            return f"skipped: {item['reason']}"
        case "buffered":
            return f"waits until {local_instant(item['startsAt'])}"
        case "replaced":
            return f"cancelled at {local_instant(item['replacedAt'])}"
    return ""
