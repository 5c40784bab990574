"""Time zones by the rules of the `tzdata` package, never by those of the machine.

Every service that runs one release then agrees on every instant, and a history
can name the version of the rules. The package is data: what is read from it
depends on nothing but its version.
"""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

from tzdata import IANA_VERSION

MAX_NAME: Final = 64

_SHORTEST_WORD: Final = 5
_OFFSET: Final = re.compile(r"([a-z]*)[+-]?[0-9]{1,2}(:?[0-9]{2})?")
_INVERTED: Final = re.compile(r"Etc/.*|GMT.+")
"""Names that mean the opposite of what they seem to, as `Etc/GMT+1` is UTC-1, or nothing more."""

_ABBREVIATIONS: Final = {
    "pst": "America/Los_Angeles",
    "pdt": "America/Los_Angeles",
    "mst": "America/Denver",
    "mdt": "America/Denver",
    "cst": "America/Chicago",
    "cdt": "America/Chicago",
    "est": "America/New_York",
    "edt": "America/New_York",
    "cet": "Europe/Berlin",
    "cest": "Europe/Berlin",
    "bst": "Europe/London",
    "ist": "Asia/Kolkata",
    "jst": "Asia/Tokyo",
}
"""Where clocks are that most who write an abbreviation mean; some of them have several meanings."""


def tzdata_version() -> str:
    """Return the version of the rules as IANA names it, such as `2025b`."""
    return IANA_VERSION


@cache
def zone_names() -> frozenset[str]:
    """Return the names of all zones there are."""
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


@cache
def zone(name: str) -> ZoneInfo:
    """Return a zone; the same object for the same name. Raises ValueError naming similar ones."""
    if name not in zone_names():
        raise ValueError(f"is '{name}'; {_suggestion(name)}")
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as rules:
        return ZoneInfo.from_file(rules, key=name)


def _suggestion(name: str) -> str:
    wanted = [name for name in sorted(zone_names()) if not _INVERTED.fullmatch(name)]
    known = {_plain(each.rpartition("/")[2]): each for each in wanted}
    known |= {_plain(each): each for each in wanted}
    near = _near(_plain(name), known)
    if not near:
        return "expected the IANA name of a time zone, such as 'Europe/Berlin' or 'UTC'"
    meant = dict.fromkeys(f"'{each}'" for each in near)
    return f"did you mean {' or '.join(meant)}?"


def _near(name: str, known: Mapping[str, str]) -> list[str]:
    """Return the zones that a name may stand for."""
    offset = _OFFSET.fullmatch(name)
    # A zone is no offset: only a word before it tells where somebody is.
    meant = _ABBREVIATIONS.get(offset[1] if offset else name) or known.get(name)
    if meant or offset:
        return [meant] if meant else []
    # Abbreviations such as PST resemble each other without meaning anything alike.
    near = get_close_matches(name, known) if len(name) >= _SHORTEST_WORD else []
    return [known[key] for key in near]


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_")
