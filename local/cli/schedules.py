"""Commands and words about when workflows run."""

from typing import Annotated

import typer

from local.cli.client import resource
from local.cli.options import AsJson, api
from local.cli.output import Json, local_time, print_json, say, table


def preview(
    workflow: Annotated[str, typer.Argument(help="The id of a workflow.", metavar="WORKFLOW")],
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
    found = api().get(f"{resource('workflows', workflow, 'WORKFLOW')}/preview", asked)
    if as_json:
        print_json(found)
        return
    table(
        ("HERE", f"IN {found['timezone']}"),
        ((local_time(item["at"]), item["local"]) for item in found["items"]),
        f"Nothing: '{workflow}' has no instants to come.",
    )
    if not found["enabled"]:
        say(f"'{workflow}' is disabled: none of them fires until 'workflows enable {workflow}'.")


def trigger_text(trigger: Json) -> str:
    """Return a trigger in a few words."""
    if "interval" in trigger:
        return f"{trigger['type']} {trigger['interval']}"
    if "schedule" in trigger:
        given = trigger["schedule"]
        expressions = given if isinstance(given, str) else ", ".join(given)
        return f"{trigger['type']} {expressions} ({trigger.get('timezone', 'UTC')})"
    return f"{trigger['type']} {local_time(trigger['at'])}" if "at" in trigger else trigger["type"]


def show_warnings(warnings: list[Json]) -> None:
    """Say what the author of a definition should know."""
    for warning in warnings:
        say(f"  warning: {warning['pointer']}: {warning['detail']}")
