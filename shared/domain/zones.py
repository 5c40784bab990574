"""Time zones by the rules of the `tzdata` package, never by those of the machine.

Every service that runs one release then agrees on every instant, and a history
can name the version of the rules. The package is data: what is read from it
depends on nothing but its version.
"""

from collections.abc import Collection
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

from tzdata import IANA_VERSION

MAX_NAME: Final = 64

_SHORTEST_WORD: Final = 5


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
    known = {_plain(each.rpartition("/")[2]): each for each in sorted(zone_names())}
    known |= {_plain(each): each for each in zone_names()}
    near = _near(_plain(name), known)
    if not near:
        return "expected the IANA name of a time zone, such as 'Europe/Berlin' or 'UTC'"
    meant = dict.fromkeys(f"'{known[key]}'" for key in near)
    return f"did you mean {' or '.join(meant)}?"


def _near(name: str, known: Collection[str]) -> list[str]:
    if name in known:
        return [name]
    # Abbreviations such as PST resemble each other without meaning anything alike.
    return get_close_matches(name, known) if len(name) >= _SHORTEST_WORD else []


def _plain(name: str) -> str:
    return name.lower().replace(" ", "_")
