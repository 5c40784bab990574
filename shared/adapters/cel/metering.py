"""Keeping an evaluation's work within bounds, though the library cannot be interrupted.

The library appends to a copy of the whole list at every step of `map` and `filter`:
1,000 objects take a second, 10,000 minutes, with the interpreter's lock held. So the
text is rewritten before it is compiled: every step asks `tick__` whether to go on,
and results are collected on our side, in linear time:

    list.map(x, f(x))  →  list.all(x, tick__(0) ? put__(0, (f(x))) : false).take__(0)
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.adapters.cel.reading import Macro, Reading
from shared.domain.references import Path

WORK: Final = 100_000
"""Steps that one evaluation may take, each some microseconds: list items, and values read."""

_MATCH: Final = 200
"""What one `matches` in a macro counts: the pattern is compiled again at every step."""

_CHARACTERS: Final = 16
"""So many characters of a text count as one value."""

Function = Callable[..., object]


@dataclass(frozen=True, slots=True)
class Site:
    """One macro: which others lie in its body, and what one step of it reads and matches."""

    inside: tuple[int, ...]
    paths: frozenset[Path]
    matches: int


def sites_of(reading: Reading) -> tuple[Site, ...]:
    """Return what has to be known of each macro while it runs."""
    matches = [position for position, name in reading.calls() if name == "matches"]
    return tuple(
        Site(
            tuple(k for k, other in enumerate(reading.macros) if macro.binds(other.at)),
            reading.paths(within=macro),
            sum(macro.binds(position) for position in matches),
        )
        for macro in reading.macros
    )


def metered(reading: Reading) -> str:
    """Return the text of an expression with a meter in every macro."""
    before: defaultdict[int, str] = defaultdict(str)
    after: defaultdict[int, str] = defaultdict(str)
    texts = [token.text for token in reading.tokens]
    for site, macro in enumerate(reading.macros):
        opening, closing = _around(site, macro)
        after[macro.commas[0]] += opening
        before[macro.closed] += closing
        if macro.name in {"map", "filter"}:
            texts[macro.at] = "all"
            after[macro.closed] += f".take__({site})"
        if len(macro.commas) > 1:
            texts[macro.commas[1]] = f") ? put__({site}, ("
    return " ".join(before[at] + text + after[at] for at, text in enumerate(texts))


def _around(site: int, macro: Macro) -> tuple[str, str]:
    """Return what comes before and after a macro's body. A spent meter ends the loop at once."""
    if macro.name == "map" and len(macro.commas) == 1:
        return f" tick__({site}) ? put__({site}, (", ")) : false"
    if macro.name == "map":
        return f" tick__({site}) ? ((", ")) : true) : false"
    if macro.name == "filter":
        kept = f"put__({site}, {macro.variable})"
        return f" tick__({site}) ? ((", f") ? {kept} : true) : false"
    return f" tick__({site}) ? (", f") : {'true' if macro.name == 'exists' else 'false'}"


class Meter:
    """The work of one evaluation, and the lists that its macros collect."""

    def __init__(self, sites: Sequence[Site], value_at: Callable[[Path], object]) -> None:
        self._sites = sites
        self._costs = [
            1 + _MATCH * site.matches + sum(size_of(value_at(path)) for path in site.paths)
            for site in sites
        ]
        self._kept: dict[int, list[object]] = {}
        self._left = WORK

    @property
    def spent(self) -> bool:
        """Whether the evaluation was ended because it took too much work."""
        return self._left < 0

    def functions(self) -> Mapping[str, Function]:
        """Return what the rewritten text calls."""
        return {"tick__": self._tick, "put__": self._put, "take__": self._take}

    def _tick(self, site: int) -> bool:
        self._left -= self._costs[site]
        for inner in self._sites[site].inside:
            # Left over where the step before failed half-way and `||` passed over that.
            self._kept.pop(inner, None)
        return not self.spent

    def _put(self, site: int, value: object) -> bool:
        self._left -= size_of(value)
        self._kept.setdefault(site, []).append(value)
        return not self.spent

    def _take(self, _done: bool, site: int) -> list[object]:  # noqa: FBT001 - called by the library
        return self._kept.pop(site, [])


def size_of(value: object) -> int:
    """Return how many values there are in a value, itself included; long texts are several."""
    if isinstance(value, str):
        return 1 + len(value) // _CHARACTERS
    if isinstance(value, list):
        return 1 + sum(map(size_of, value))
    if isinstance(value, dict):
        return 1 + sum(map(size_of, value.values()))
    return 1
