"""What the command line prints of a simulation: totals, the first instants, and the load."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from local.cli.output import (
    Json,
    columns,
    console,
    local_instant,
    local_time,
    say,
    show_warnings,
)

_HOUR: Final = timedelta(hours=1)
_LISTED: Final = 20
_BUSIEST: Final = 5
_WIDTH: Final = 40
_FATES: Final = {
    "buffered": "of them buffered first",
    "replaced": "of them cancelled for a newer one",
    "waiting": "buffered to the end",
}
_HEADINGS: Final = {"buffered": "BUFFERED", "replaced": "CANCELLED", "waiting": "STILL WAITING"}


def show_simulation(report: Json, takes: str) -> None:
    """Print a report, as JSON would have it, for people."""
    at_once = report["mostRunning"]
    say(
        f"From {local_time(report['since'])} to {local_time(report['until'])}, executions taking "
        f"{takes}: {_totals(report['workflows'])}, at most {at_once} "
        f"{'execution' if at_once == 1 else 'executions'} at once."
    )
    if not report["complete"]:
        say("There was more than is simulated in one go: it ended early.")
    say("")
    _show_workflows(report["workflows"])
    for workflow in report["workflows"]:
        for warning in workflow["warnings"]:
            show_warnings([{**warning, "pointer": f"{workflow['workflowId']}{warning['pointer']}"}])
    _show_occurrences(report)
    _show_load(report["load"], list(_hours(report)))


def _totals(workflows: Sequence[Json]) -> str:
    """Return how often what happened; of what never happened, nothing."""
    totals: Counter[str] = Counter()
    for workflow in workflows:
        totals.update({name: workflow[name] for name in ("fires", *_FATES)})
    fates = [f"{n} {words}" for name, words in _FATES.items() if (n := totals[name])]
    return ", ".join([f"{totals['fires']} fires", *fates])


def _show_workflows(workflows: Sequence[Json]) -> None:
    """Print a row for each; what did not happen to any of them has no column."""
    fates = {
        _HEADINGS[name]: [str(workflow[name] or "-") for workflow in workflows]
        for name in _FATES
        if any(workflow[name] for workflow in workflows)
    }
    columns(
        {
            "WORKFLOW": [workflow["workflowId"] for workflow in workflows],
            "FIRES": [str(workflow["fires"]) for workflow in workflows],
            "SKIPPED": [_skips(workflow["skipped"]) for workflow in workflows],
            **fates,
        },
        "There are no workflows.",
    )


def _skips(skipped: dict[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in skipped.items()) or "-"


def _show_occurrences(report: Json) -> None:
    found: list[Json] = report["occurrences"]
    if not found:
        return
    say("")
    shown = found[:_LISTED]
    columns(
        {
            "HERE": [local_instant(one["at"]) for one in shown],
            "WORKFLOW": [one["workflowId"] for one in shown],
            "TRIGGER": [one.get("trigger", "") for one in shown],
            "OUTCOME": [_outcome(one) for one in shown],
        },
        "",
    )
    more = _not_shown(report["workflows"], shown)
    if more:
        whose = ", ".join(f"{n} of {name}" for name, n in more.items())
        say(f"… and {more.total()} more: {whose}; --json lists the first 10,000.")


def _not_shown(workflows: Sequence[Json], shown: Sequence[Json]) -> "Counter[str]":
    """Return how many occurrences of each workflow, or each of its triggers, are not listed."""
    totals: Counter[str] = Counter()
    for workflow in workflows:
        name = workflow["workflowId"]
        several = workflow.get("triggers") or {None: workflow["occurrences"]}
        totals.update({_source(name, trigger): n for trigger, n in several.items()})
    return totals - Counter(_source(one["workflowId"], one.get("trigger")) for one in shown)


def _source(workflow: str, trigger: str | None) -> str:
    return workflow if trigger is None else f"{workflow}/{trigger}"


def _outcome(one: Json) -> str:
    """Return what became of an instant."""
    if one["outcome"] == "buffered":
        return "buffered, and still waits at the end"
    if one["outcome"] != "fired":
        times = f", {one['count']} times" if one["count"] > 1 else ""
        return f"skipped: {one['outcome']}{times}"
    begun = f"buffered until {local_instant(one['startsAt'])}" if "startsAt" in one else "fired"
    ended = f", cancelled at {local_instant(one['replacedAt'])}" if "replacedAt" in one else ""
    return f"{begun}{ended}"


def _hours(report: Json) -> Iterator[str]:
    """Yield the hours of the day (UTC) that there were, from midnight on."""
    since, until = map(datetime.fromisoformat, (report["since"], report["until"]))
    spent = until - since.replace(minute=0, second=0, microsecond=0)
    there = {(since.hour + n) % 24 for n in range(spent // _HOUR + 1)}
    return (f"{hour:02d}" for hour in sorted(there))


def _show_load(load: Sequence[Any], shown: Sequence[str]) -> None:
    """Draw the fires by hour of the day, and name the minutes in which most of them are."""
    if not load:
        return
    hours: Counter[str] = Counter()
    for one in load:
        hours[one["minute"][:2]] += one["fires"]
    say("\nFires by the hour of the day (UTC):")
    for line in _bars(hours, shown):
        console.print(line)
    busiest = sorted(load, key=lambda one: -one["fires"])[:_BUSIEST]
    named = ", ".join(f"{one['minute']} ({one['fires']})" for one in busiest)
    say(f"Busiest minutes of the day (UTC): {named}")


def _bars(hours: "Counter[str]", shown: Sequence[str]) -> Iterator[str]:
    most = max(hours.values())
    digits = len(str(most))
    for hour in shown:
        count = hours[hour]
        bar = "█" * -(-count * _WIDTH // most)
        yield f"  {hour}  {count:>{digits}}  {bar}".rstrip()
