"""What the command line prints: tables and sentences for people, JSON for machines."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from shared.domain.lengths import readable

Json = dict[str, Any]

_STYLES: Final = {
    "completed": "green",
    "idle": "green",
    "running": "cyan",
    "busy": "cyan",
    "queued": "blue",
    "buffered": "blue",
    "pending": "yellow",
    "waiting": "yellow",
    "skipped": "dim",
    "cancelled": "magenta",
    "failed": "red",
    "new": "red",
}
_MOST_NAMED: Final = 2
_LOCAL_TIME: Final = "%Y-%m-%d %H:%M:%S"

_ON_TERMINAL: Final = sys.stdout.isatty()
ENDLESS: Final = 2**31
"""How wide a file or a pipe is: what reads it wants each line whole."""
_MOST_OF_OUTPUT: Final = 200
"""How many characters of an action's output a terminal gets to show."""
console: Final = Console(
    highlight=False, emoji=False, markup=False, width=None if _ON_TERMINAL else ENDLESS
)


def print_json(value: Any) -> None:
    """Print a value as JSON, for machines."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_json_line(value: Any) -> None:
    """Print a value as one line of JSON, at once, for machines that read as it comes."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def say(message: str) -> None:
    """Print a sentence."""
    console.print(message)


def hint(message: str) -> None:
    """Print a sentence that is no part of what was asked for, so that pipes do not get it."""
    sys.stderr.write(f"{message}\n")


def columns(named: Mapping[str, Sequence[str | Text]], nothing: str) -> None:
    """Print a table of those columns that hold anything."""
    told = {name: cells for name, cells in named.items() if any(map(str, cells))}
    table(tuple(told), zip(*told.values(), strict=True), nothing)


def table(headings: Sequence[str], rows: Iterable[Sequence[str | Text]], nothing: str) -> None:
    """Print rows under headings, or the sentence `nothing` if there are none."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        made.add_column(heading, overflow="fold")
    for row in rows:
        made.add_row(*row)
    if made.row_count:
        console.print(made)
    else:
        say(nothing)


def show_more(limit: int, *, more: bool) -> None:
    """Say so if a list ended at its limit and not at its end."""
    if more:
        hint(f"These are the first {limit}. There are more: --limit says how many to show.")


def status_text(status: str) -> Text:
    """Return a status in its colour."""
    return Text(status, style=_STYLES.get(status, ""))


def local_time(instant: str | None) -> str:
    """Return an instant of the API in the reader's own time zone."""
    if instant is None:
        return "-"
    return datetime.fromisoformat(instant).astimezone().strftime(_LOCAL_TIME)


def local_instant(instant: str) -> str:
    """Return an instant of a schedule in the reader's zone, with its milliseconds if it has any."""
    fraction = datetime.fromisoformat(instant).microsecond // 1000
    return f"{local_time(instant)}{f'.{fraction:03d}' if fraction else ''}"


def trigger_text(trigger: Json) -> str:
    """Return a trigger in a few words."""
    if "interval" in trigger:
        return f"{trigger['type']} {trigger['interval']}"
    if "schedule" in trigger:
        given = trigger["schedule"]
        expressions = given if isinstance(given, str) else ", ".join(given)
        return f"{trigger['type']} {expressions} ({trigger.get('timezone', 'UTC')})"
    return f"{trigger['type']} {local_time(trigger['at'])}" if "at" in trigger else trigger["type"]


def triggers_text(workflow: Json) -> str:
    """Return the trigger of a workflow, or how many it has and what the first are called."""
    several = workflow.get("triggers") or []
    if not several:
        return trigger_text(workflow["trigger"])
    named = [trigger["id"] for trigger in several[:_MOST_NAMED]]
    more = ["…"] if len(several) > _MOST_NAMED else []
    return f"{len(several)} triggers: {', '.join(named + more)}"


def show_warnings(warnings: list[Json]) -> None:
    """Say what the author of a definition should know."""
    for warning in warnings:
        say(f"  warning: {warning['pointer']}: {warning['detail']}")


def paused_text(pause: Json) -> str:
    """Return since when a workflow is paused, and why."""
    return f"since {local_time(pause['since'])}: {pause['reason']}"


def milliseconds(value: int | None) -> str:
    """Return a length in milliseconds so that it reads well."""
    return "-" if value is None else readable(timedelta(milliseconds=value))


def more_retries(count: int) -> str:
    """Return how often it is tried again after the next attempt."""
    return f"{count or 'no'} more {'retry' if count == 1 else 'retries'} after it"


def show_execution(execution: Json) -> None:
    """Print one execution with its actions and, below, its history."""
    line = Text.assemble(
        ("Execution ", ""),
        (execution["executionId"], "bold"),
        "  ",
        status_text(execution["status"]),
    )
    console.print(line)
    for label, value in _facts(execution):
        console.print(Text(f"  {label:<12}{value}"))
    show_events(execution.get("history", []))


def show_events(events: Iterable[Json]) -> None:
    """Print events, one a line."""
    for event in events:
        console.print(_event_line(event))


def _facts(execution: Json) -> list[tuple[str, str]]:
    facts = [
        ("workflow", f"{execution['workflowId']} (version {execution['version']})"),
        ("trigger", execution["trigger"]),
        ("created", local_time(execution["createdAt"])),
    ]
    if "latenessMs" in execution:
        facts.append(("started", f"{milliseconds(execution['latenessMs'])} after it was due"))
    if "nextAttemptAt" in execution:
        facts.append(_wait(execution))
    if "deadline" in execution:
        facts.append(("deadline", local_time(execution["deadline"])))
    if "origin" in execution:
        origin = execution["origin"]
        start = f" from {origin['action']}" if "action" in origin else ""
        facts.append((origin["kind"], f"of {origin['executionId']}{start}"))
    if "ending" in execution:
        undone = ", ".join(execution["ending"]["undoing"])
        facts.append(("ending", f"{execution['ending']['status']}, once {undone} is undone"))
    if "input" in execution:
        facts.append(("input", json.dumps(execution["input"], ensure_ascii=False)))
    if "error" in execution:
        error = execution["error"]
        facts.append(("error", f"{error['message']} ({error['category']})"))
    if "skipped" in execution:
        skipped = execution["skipped"]
        facts.append(("skipped", f"{skipped['count']} instants: {skipped['reason']}"))
    return facts


def _wait(execution: Json) -> tuple[str, str]:
    """Return what an execution waits for: its next try, a person, or an instant."""
    at = local_time(execution["nextAttemptAt"])
    if execution["status"] == "pending":
        return "next try", f"{at} ({more_retries(execution['retriesLeft'])})"
    actions = execution.get("actions", [])
    calls = [*actions, *(item for action in actions for item in action.get("items", []))]
    unknown = ", ".join(call["id"] for call in calls if call["status"] == "unknown")
    if unknown:
        return "waits for", f"an answer about {unknown}: see 'workflows resolve'"
    return "waits until", at


def _event_line(event: Json) -> Text:
    at = datetime.fromisoformat(event["at"]).astimezone()
    line = Text(f"  {event['seq']:>3}  {at:%H:%M:%S}.{at.microsecond // 1000:03d}  ")
    line.append(f"{event['type']:<17}")
    for name in ("action", "attempt", "runner", "reason", "count"):
        if name in event:
            line.append(f" {name}={event[name]}", style="dim")
    if "undoing" in event:
        line.append(f" undoing={','.join(event['undoing'])}", style="dim")
    if "nextAttemptAt" in event:
        line.append(f" until={local_time(event['nextAttemptAt'])}", style="dim")
    if "error" in event:
        line.append(f" {event['error']['message']}", style="red")
    if "output" in event:
        line.append(f" {_output(event['output'])}")
    return line


def _output(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    if _ON_TERMINAL and len(text) > _MOST_OF_OUTPUT:
        return f"{text[: _MOST_OF_OUTPUT - 1]}…"
    return text


def printable(text: str) -> str:
    """Return somebody else's text so that it can do nothing to a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
