"""Commands that halt a workflow's schedule, and let it go on."""

from datetime import datetime
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
    paused = api().post(f"{workflow_path(workflow)}/pause", {"reason": reason})
    if as_json:
        print_json(paused)
    else:
        _show_pause(paused, reason)


def resume(workflow: WorkflowId, as_json: AsJson = False) -> None:
    """Let a paused workflow's schedule go on."""
    resumed = api().post(f"{workflow_path(workflow)}/resume")
    if as_json:
        print_json(resumed)
    else:
        say(f"{resumed['workflowId']}  {_next_run(resumed)}")


def _show_pause(workflow: Json, reason: str) -> None:
    name, pause = workflow["workflowId"], workflow.get("paused")
    if pause is None:
        say(f"{name}  resumed meanwhile")
    elif pause["reason"].strip() != reason.strip():
        # Whoever halted it first has said why; a second reason changes nothing.
        say(f"{name}  was paused already, {paused_text(pause)}")
        say(f"It stays as it is: '{reason}' is not kept.")
    else:
        say(f"{name}  paused {paused_text(pause)}")
    triggers = workflow.get("triggers") or [workflow["trigger"]]
    if all(trigger["type"] == "manual" for trigger in triggers):
        say("It has no schedule to halt: it runs only when it is triggered by hand.")


def _next_run(resumed: Json) -> str:
    """Return when a schedule goes on; what passed during the pause fires at once."""
    at = resumed["trigger"].get("nextRunAt")
    if at is not None and datetime.fromisoformat(at) <= datetime.fromisoformat(
        resumed["updatedAt"]
    ):
        return "due now"
    return f"next run {local_time(at)}"
