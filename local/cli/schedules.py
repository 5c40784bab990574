"""The command that shows when workflows run."""

from typing import Annotated

import typer

from local.cli.options import AsJson, api
from local.cli.output import local_time, print_json, say, table
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
    as_json: AsJson = False,
) -> None:
    """Show when a workflow is due next."""
    asked = {"count": count} | ({} if since is None else {"from": since})
    found = api().get(f"{workflow_path(workflow)}/preview", asked)
    if as_json:
        print_json(found)
        return
    items, there = found["items"], found.get("timezone", "THE TRIGGER'S ZONE")
    several = any("trigger" in item for item in items)
    table(
        ("HERE", f"IN {there}", *(["TRIGGER"] if several else [])),
        ([local_time(i["at"]), i["local"], *([i["trigger"]] if several else [])] for i in items),
        f"Nothing: '{workflow}' has no instants to come.",
    )
    if not found["enabled"]:
        state, cure = ("paused", "resume") if found.get("paused") else ("disabled", "enable")
        say(f"'{workflow}' is {state}: none of them fires until 'workflows {cure} {workflow}'.")
