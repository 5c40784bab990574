"""Handing over only what an expression refers to.

The library copies every value it is given, some microseconds each: an input of a
megabyte takes a tenth of a second, whether or not it is looked at.
"""

from collections.abc import Collection, Mapping

from pydantic import JsonValue

from shared.domain.references import Path

Tree = dict[str, "Tree | None"]
"""The fields that are used, by name; None where a value is used as a whole."""


def tree_of(paths: Collection[Path]) -> Tree:
    """Return some paths as a tree. A path that begins with a shorter one adds nothing to it."""
    tree: Tree = {}
    for path in sorted(paths, key=len):
        _add(tree, path)
    return tree


def pick(scope: Mapping[str, JsonValue], tree: Tree) -> dict[str, JsonValue]:
    """Return the part of `scope` that is in the tree."""
    return {name: _pick(scope[name], inner) for name, inner in tree.items() if name in scope}


def value_at(scope: Mapping[str, JsonValue], path: Path) -> JsonValue:
    """Return the value at a path, or None where it leads nowhere."""
    value: JsonValue = dict(scope)
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return None
        value = value[name]
    return value


def _add(tree: Tree, path: Path) -> None:
    *fields, last = path
    for name in fields:
        inner = tree.setdefault(name, {})
        if inner is None:
            return
        tree = inner
    tree.setdefault(last, None)


def _pick(value: JsonValue, tree: Tree | None) -> JsonValue:
    if tree is None or not isinstance(value, dict):
        return value
    return {name: _pick(value[name], inner) for name, inner in tree.items() if name in value}
