"""What a name that is not known was probably meant to be."""

from collections.abc import Container, Iterable, Sequence
from difflib import get_close_matches
from typing import Final

_FEW: Final = 15
_SYNONYMS: Final = {
    "tz": "timezone",
    "cron": "schedule",
    "expression": "schedule",
    "every": "interval",
    "name": "workflowId",
    "steps": "actions",
    "tasks": "actions",
}
"""What other systems call a field, where that resembles nothing of what it is called here."""


def unknown_field(name: str, known: Sequence[str], given: Container[str]) -> str:
    """Return what to say of a field that is not known; one that is `given` too is not meant."""
    meant = likely(name, (each for each in known if each not in given))
    if meant is not None:
        return f"is not a known field; did you mean '{meant}'?"
    if 0 < len(known) <= _FEW:
        return f"is not a known field; known are {', '.join(known)}"
    return "is not a known field"


def likely(name: str, known: Iterable[str]) -> str | None:
    """Return which of the known names was meant, if one of them resembles it."""
    plain = {_plain(each): each for each in known}
    near = get_close_matches(_plain(name), plain, n=1)
    if near:
        return plain[near[0]]
    return plain.get(_plain(_SYNONYMS.get(_plain(name), "")))


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
