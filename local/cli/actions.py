"""The command that lists the types of action."""

from local.cli.options import AsJson, api
from local.cli.output import print_json, table


def actions(as_json: AsJson = False) -> None:
    """List the types of action that definitions may use."""
    found = api().get("/actions")["items"]
    if as_json:
        print_json(found)
        return
    rows = (
        (
            action["name"],
            action["effect"],
            str(action["retry"]["retries"]) if "retry" in action else "-",
            action.get("timeout", "-"),
            action["summary"],
        )
        for action in found
    )
    table(("ACTION", "EFFECT", "RETRIES", "TIMEOUT", "SUMMARY"), rows, "There are no actions.")
