"""Commands that tell what became of the instants of a workflow."""

from typing import Annotated, Final
from urllib.parse import quote

import typer

from local.cli.errors import CommandError, Exit
from local.cli.options import AsJson, Limit, api
from local.cli.output import (
    Json,
    columns,
    local_instant,
    milliseconds,
    print_json,
    say,
    show_more,
    status_text,
    table,
)
from local.cli.workflows import WorkflowId, workflow_path

_WHY_LEFT: Final = {
    "none": "something ran for them already",
    "failed": "what ran for them did not fail, or is not done",
    "all": "what runs for them is not done",
}


def occurrences(
    workflow: WorkflowId,
    since: Annotated[
        str | None, typer.Option("--from", help="At or after this instant, with its offset.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="Before this instant.")] = None,
    outcome: Annotated[str | None, typer.Option(help="fired, skipped or buffered.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List what became of a workflow's instants, the latest first."""
    given = {"from": since, "to": until, "outcome": outcome}
    asked = {name: value for name, value in given.items() if value is not None}
    found, more = api().first(f"{workflow_path(workflow)}/occurrences", asked, limit)
    if as_json:
        print_json(found)
        return
    several = len({item["trigger"] for item in found}) > 1
    columns(
        {
            "INSTANT": [_instants(item) for item in found],
            "TRIGGER": [item["trigger"] if several else "" for item in found],
            "OUTCOME": [_outcome(item) for item in found],
            "STATUS": [status_text(item["status"]) for item in found],
            "LATE": [milliseconds(item.get("latenessMs")) for item in found],
            "EXECUTION": [item["executionId"] for item in found],
        },
        f"Nothing: no instants of '{workflow}' are on record here.",
    )
    show_more(limit, more=more)


def why_not(
    workflow: WorkflowId,
    instant: Annotated[
        str,
        typer.Argument(help="With its offset, or a local time of the trigger: 2027-03-28T02:30."),
    ],
    as_json: AsJson = False,
) -> None:
    """Say what became of an instant, or why there is nothing at it."""
    if not instant.strip():
        raise CommandError("INSTANT must not be empty.", Exit.USAGE)
    path = f"{workflow_path(workflow)}/occurrences/{quote(instant, safe='')}/why"
    found = api().get(path)
    if as_json:
        print_json(found)
        return
    say(f"{found['workflowId']}  {found['instant']}  (here {local_instant(found['instant'])})")
    say(f"  {found['why']}")


def backfill(
    workflow: WorkflowId,
    since: Annotated[str, typer.Option("--from", help="From this instant on, with its offset.")],
    until: Annotated[str, typer.Option("--to", help="Before this instant.")],
    existing: Annotated[
        str, typer.Option(help="Of what ran already: run 'none' again, what 'failed', or 'all'.")
    ] = "none",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be run.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run the instants of a range that has passed, one after the other."""
    asked = {"from": since, "to": until, "existing": existing, "dryRun": dry_run}
    plan = api().post(f"{workflow_path(workflow)}/backfill", asked)
    if as_json:
        print_json(plan)
        return
    rows = (
        (local_instant(item["at"]), item.get("lastStatus", "-"), item["executionId"])
        for item in plan["items"]
    )
    table(("INSTANT", "RAN BEFORE", "EXECUTION"), rows, "There is nothing to run.")
    say(_summary(plan, existing, dry_run=dry_run))
    if plan["owed"]:
        say(f"{plan['owed']} left to the schedule, which has not dealt with them yet.")


def _summary(plan: Json, existing: str, *, dry_run: bool) -> str:
    """Return how much a backfill runs, how much of that once more, and what it leaves alone."""
    items, left = plan["items"], plan["left"]
    wait = "would wait" if dry_run else "wait"
    again = sum("lastStatus" in item for item in items)
    more = f", {again} of them to be run again" if again else ""
    untouched = f"; {left} left out, as {_WHY_LEFT[existing]}" if left else ""
    return f"{len(items)} {wait} for their turn{more}{untouched}."


def _instants(item: Json) -> str:
    instants = local_instant(item["at"])
    if "to" in item:
        instants += f" to {local_instant(item['to'])}"
    return f"{instants} ({item['count']})" if item["count"] > 1 else instants


def _outcome(item: Json) -> str:
    return f"{item['outcome']}: {item['reason']}" if "reason" in item else item["outcome"]
