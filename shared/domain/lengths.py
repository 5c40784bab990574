"""Lengths of time as people read them: rounded, the longer the more."""

from datetime import timedelta
from typing import Final

from shared.domain.durations import MILLISECOND

_IN_MILLISECONDS: Final = timedelta(seconds=10)
_IN_SECONDS: Final = timedelta(minutes=2)
_UNITS: Final = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}


def readable(length: timedelta) -> str:
    """Return a length as in `4 ms`, `88.5 s` or `14d 22h`: never more than its two largest units.

    From two minutes on it is rounded down, so that nothing is said to take longer than it did.
    """
    if length < _IN_MILLISECONDS:
        return f"{length // MILLISECOND} ms"
    if length < _IN_SECONDS:
        return f"{length // MILLISECOND / 1000:.1f} s"
    counts: list[tuple[int, str]] = []
    for unit, size in _UNITS.items():
        count, length = divmod(length, size)
        counts.append((count, unit))
    first = next(place for place, (count, _) in enumerate(counts) if count)
    return " ".join(f"{count}{unit}" for count, unit in counts[first : first + 2] if count)
