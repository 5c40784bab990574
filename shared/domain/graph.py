"""Which action needs which: checks, and an order in which every need comes first."""

from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

Needs = Mapping[str, Sequence[str]]


def check_graph(needs: Needs) -> None:
    """Raise ValueError naming every need that does not exist, or the members of a cycle."""
    for key, wanted in needs.items():
        unknown = sorted(set(wanted).difference(needs))
        if unknown:
            there = ", ".join(sorted(needs))
            raise ValueError(
                f"'{key}' needs {', '.join(map(repr, unknown))}, which is not there; "
                f"the actions are {there}"
            )
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        path = " -> ".join(reversed(error.args[1]))
        raise ValueError(f"must not need each other in a circle: {path}") from None


def in_order(needs: Needs) -> tuple[str, ...]:
    """Return the actions so that each comes after what it needs, else in the order given."""
    done: set[str] = set()
    order: list[str] = []
    waiting = list(needs)
    while waiting:
        free = [key for key in waiting if done.issuperset(needs[key])]
        order += free
        done.update(free)
        waiting = [key for key in waiting if key not in done]
    return tuple(order)


def upstream(needs: Needs, key: str) -> frozenset[str]:
    """Return every action that has ended before this one starts."""
    found: set[str] = set()
    waiting: list[str] = list(needs[key])
    while waiting:
        need = waiting.pop()
        if need not in found:
            found.add(need)
            waiting += needs[need]
    return frozenset(found)


def chain(keys: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the needs of actions that run one after the other."""
    before: tuple[str, ...] = ()
    needs: dict[str, tuple[str, ...]] = {}
    for key in keys:
        needs[key] = before
        before = (key,)
    return needs
