"""Commands on workflows."""

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from local.cli.client import Api, resource
from local.cli.documents import Definition, read_definitions, read_json
from local.cli.errors import CommandError, Exit
from local.cli.executions import wait_for_end
from local.cli.members import options_text, trigger_options_text
from local.cli.options import AsJson, Input, Limit, Timeout, Wait, api
from local.cli.output import (
    Json,
    local_time,
    paused_text,
    print_json,
    say,
    show_more,
    show_warnings,
    status_text,
    table,
    trigger_text,
    triggers_text,
)

Files = Annotated[
    list[Path] | None,
    typer.Option("-f", "--file", help="A definition, a folder of them, or - for standard input."),
]
MoreFiles = Annotated[
    list[Path] | None, typer.Argument(help="More of them, as a shell's FILE*.json gives.")
]
WorkflowId = Annotated[str, typer.Argument(help="The id of a workflow.", metavar="WORKFLOW")]
_IDEMPOTENCY_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


def apply(files: Files = None, more: MoreFiles = None, as_json: AsJson = False) -> None:
    """Create workflows from JSON files, or bring them up to date.

    All files are read before anything is stored. What the API refuses stops
    the command; what was stored before stays, and is printed.
    """
    paths = [*(files or ()), *(more or ())]
    if not paths:
        raise CommandError(
            "Name what to apply, as in 'workflows apply -f FILE'; see 'workflows apply --help'.",
            Exit.USAGE,
        )
    results: list[Json] = []
    applying = _applied(api(), read_definitions(paths))
    try:
        for result in applying:
            results.append(result)
            if not as_json:
                say(f"{result['workflowId']}  {result['change']}  (version {result['version']})")
                show_warnings(result.get("warnings", []))
    finally:
        if as_json:
            print_json(results)


def list_(
    trigger_type: Annotated[
        str | None, typer.Option("--trigger-type", help="periodic, cron, once or manual.")
    ] = None,
    status: Annotated[str | None, typer.Option(help="idle, busy or pending.")] = None,
    limit: Limit = 100,
    as_json: AsJson = False,
) -> None:
    """List workflows."""
    wanted = {"triggerType": trigger_type, "status": status}
    given = {name: value for name, value in wanted.items() if value is not None}
    found, more = api().first("/workflows", given, limit)
    if as_json:
        print_json(found)
        return
    table(
        ("WORKFLOW", "TRIGGER", "STATUS", "NEXT RUN", "VERSION"),
        (_row(workflow) for workflow in found),
        "There are no workflows. 'workflows apply -f FILE' creates one.",
    )
    show_more(limit, more=more)


def get(workflow: WorkflowId, as_json: AsJson = False) -> None:
    """Show a workflow."""
    found = api().get(workflow_path(workflow))
    if as_json:
        print_json(found)
        return
    trigger = found["trigger"]
    say(f"Workflow {found['workflowId']} (version {found['version']})")
    say(f"  trigger     {trigger_text(trigger)}, {_status(found)}")
    if "paused" in found:
        say(f"  paused      {paused_text(found['paused'])}")
    for one in found.get("triggers", []):
        further = f" ({text})" if (text := trigger_options_text(one)) else ""
        when = local_time(one.get("nextRunAt"))
        say(f"    {one['id']}: {trigger_text(one)}{further}, next run {when}")
    if options := options_text(found):
        say(f"  options     {options}")
    if "executionId" in trigger:
        say(f"  execution   {trigger['executionId']}")
    say(f"  next run    {local_time(trigger.get('nextRunAt'))}")
    for action in found["actions"]:
        say(f"  action      {json.dumps(action, ensure_ascii=False)}")
    show_warnings(found.get("warnings", []))


def trigger(
    workflow: WorkflowId,
    given: Input = None,
    wait: Wait = False,
    timeout: Timeout = 300,
    idempotency_key: Annotated[
        str | None, typer.Option(help="A key of your own instead of a random one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a workflow now."""
    _check_key(idempotency_key)
    client = api()
    content = None if given is None else read_json("--input", given)
    accepted = client.post(f"{workflow_path(workflow)}/trigger", content, key=idempotency_key)
    if wait:
        wait_for_end(client, accepted["executionId"], timeout, as_json=as_json)
    elif as_json:
        print_json(accepted)
    else:
        say(f"{accepted['executionId']}  {accepted['status']}")


def enable(workflow: WorkflowId, as_json: AsJson = False) -> None:
    """Let a workflow run again."""
    _set_enabled(workflow, enabled=True, as_json=as_json)


def disable(workflow: WorkflowId, as_json: AsJson = False) -> None:
    """Keep a workflow from running."""
    _set_enabled(workflow, enabled=False, as_json=as_json)


def delete(
    workflow: WorkflowId,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Also cancel its unfinished execution.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Remove a workflow; its history stays."""
    api().delete(workflow_path(workflow), {"cancel": "true"} if cancel else None)
    if as_json:
        print_json({"workflowId": workflow, "change": "deleted"})
    else:
        say(f"{workflow}  deleted")


def apply_file(path: Path) -> list[Json]:
    """Create or update the workflows of one file or folder; returns what changed."""
    with closing(api()) as client:
        return list(_applied(client, read_definitions([path])))


def _applied(client: Api, definitions: Iterable[Definition]) -> Iterator[Json]:
    """Apply one after the other and yield what each changed; an error says where it is written."""
    for definition in definitions:
        try:
            result = _apply_one(client, definition.content)
        except CommandError as error:
            raise error.about(definition.origin) from error
        yield result


def _apply_one(client: Api, definition: Any) -> Json:
    try:
        workflow, created = client.create("/workflows", definition)
    except CommandError as error:
        if error.code is not Exit.REFUSED:
            raise
        workflow_id = definition["workflowId"]
        workflow = client.put(workflow_path(workflow_id), definition)
        return _changed(workflow, "updated")
    return _changed(workflow, "created" if created else "unchanged")


def _changed(workflow: Json, change: str) -> Json:
    warned = {"warnings": workflow["warnings"]} if "warnings" in workflow else {}
    return {
        "workflowId": workflow["workflowId"],
        "change": change,
        "version": workflow["version"],
        **warned,
    }


def _check_key(key: str | None) -> None:
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise CommandError(
            "--idempotency-key must be 1 to 255 visible ASCII characters.", Exit.USAGE
        )


def _set_enabled(workflow: str, *, enabled: bool, as_json: bool) -> None:
    changed = api().patch(workflow_path(workflow), {"enabled": enabled})
    if as_json:
        print_json(changed)
    else:
        say(f"{workflow}  {'enabled' if enabled else 'disabled'}")


def _row(workflow: Json) -> tuple[Any, ...]:
    trigger = workflow["trigger"]
    return (
        workflow["workflowId"],
        triggers_text(workflow),
        status_text(_status(workflow)),
        local_time(trigger.get("nextRunAt")),
        str(workflow["version"]),
    )


def _status(workflow: Json) -> str:
    status: str = workflow["trigger"]["status"]
    if workflow["enabled"]:
        return status
    return "paused" if "paused" in workflow else "disabled"


def workflow_path(workflow: str) -> str:
    """Return where the API has a workflow."""
    return resource("workflows", workflow, "WORKFLOW")
