"""Commands that halt a workflow's schedule, and let it go on."""

from typing import Annotated

import typer

from local.cli.options import AsJson, api
from local.cli.output import Json, local_time, paused_text, print_json, say
from local.cli.workflows import WorkflowId, workflow_path


def pause(
    workflow: WorkflowId,
    reason: Annotated[str, typer.Option(help="Why; it is shown and kept.")],
    as_json: AsJson = False,
) -> None:
    """Halt a workflow's schedule; what runs goes on."""
    changed = api().post(f"{workflow_path(workflow)}/pause", {"reason": reason})
    _show(changed, as_json=as_json)


def resume(workflow: WorkflowId, as_json: AsJson = False) -> None:
    """Let a paused workflow's schedule go on."""
    _show(api().post(f"{workflow_path(workflow)}/resume"), as_json=as_json)


def _show(workflow: Json, *, as_json: bool) -> None:
    if as_json:
        print_json(workflow)
    elif "paused" in workflow:
        say(f"{workflow['workflowId']}  paused {paused_text(workflow['paused'])}")
    else:
        say(
            f"{workflow['workflowId']}  next run {local_time(workflow['trigger'].get('nextRunAt'))}"
        )
