"""How several triggers of one workflow are stored: within `trigger`, the earliest instant on top.

`{type: "several", nextRunAt, triggers: [{id, type, ..., nextRunAt}]}` reads, for a release
that does not know it, as one trigger that it cannot read; and the index of the poll
finds it like any other.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

SEVERAL: Final = "several"
TRIGGERS: Final = "trigger.triggers"


def packed(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return a normalised definition with its `triggers`, if it has them, within `trigger`."""
    if "triggers" not in definition:
        return dict(definition)
    rest = {name: value for name, value in definition.items() if name != "triggers"}
    return {**rest, "trigger": {"type": SEVERAL, "triggers": definition["triggers"]}}


def unpacked(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `packed` was given."""
    trigger = definition["trigger"]
    if trigger["type"] != SEVERAL:
        return dict(definition)
    rest = {name: value for name, value in definition.items() if name != "trigger"}
    return {**rest, "triggers": trigger["triggers"]}


def placed(trigger: Mapping[str, Any], own: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return a packed trigger with what is stored with each beyond its definition, by its id."""
    if trigger["type"] != SEVERAL:
        return {**trigger, **next(iter(own.values()), {})}
    instants = [each["nextRunAt"] for each in own.values() if "nextRunAt" in each]
    earliest = {"nextRunAt": min(instants)} if instants else {}
    parts = [{**each, **own.get(each["id"], {})} for each in trigger["triggers"]]
    return {**trigger, **earliest, "triggers": parts}


def still(next_runs: Mapping[str, datetime | None], trigger: Mapping[str, Any]) -> dict[str, Any]:
    """Return the condition that the next instants of a packed trigger are still these."""
    if not next_runs:
        return {}
    if trigger["type"] != SEVERAL:
        (at,) = next_runs.values()
        return {"trigger.nextRunAt": at}
    matches = [{"$elemMatch": {"id": name, "nextRunAt": at}} for name, at in next_runs.items()]
    return {TRIGGERS: {"$all": matches}}
