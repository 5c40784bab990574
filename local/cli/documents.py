"""JSON that the caller gives: definitions in files and folders, and values of options.

It is read as strictly as the API reads it, which gets to see only what is made of it.
"""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from local.cli.errors import CommandError, Exit
from shared.contracts.strict_json import parse_json

_STANDARD_INPUT: Final = "-"


@dataclass(frozen=True, slots=True)
class Definition:
    """A definition, and where it is written: a file, or a place in the list of a file."""

    origin: str
    content: Any


def read_definitions(paths: Iterable[Path]) -> list[Definition]:
    """Read every file, in order. Raises CommandError if any of them is broken or missing."""
    return [found for path in paths for file in _files(path) for found in _definitions(file)]


def read_json(option: str, given: str) -> Any:
    """Return the JSON that is given to an option as text, or as @ and the file that holds it."""
    with _naming(option):
        return parse_json(Path(given[1:]).read_bytes() if given.startswith("@") else given)


def _files(path: Path) -> list[Path]:
    with _naming(str(path)):
        if not path.is_dir():
            return [path]
        files = sorted(file for file in path.glob("*.json") if not file.is_dir())
    if not files:
        raise CommandError(f"{path}: This folder has no *.json file.", Exit.INVALID)
    return files


def _definitions(path: Path) -> list[Definition]:
    given = str(path) == _STANDARD_INPUT
    origin = "(standard input)" if given else str(path)
    with _naming(origin):
        parsed = parse_json(sys.stdin.buffer.read() if given else path.read_bytes())
    if not isinstance(parsed, list):
        return [Definition(origin, parsed)]
    if not parsed:
        raise CommandError(f"{origin}: This list is empty.", Exit.INVALID)
    return [Definition(f"{origin}[{index}]", content) for index, content in enumerate(parsed)]


@contextmanager
def _naming(origin: str) -> Iterator[None]:
    """Make what goes wrong while something is read an error that names it."""
    try:
        yield
    except OSError as error:
        raise CommandError(f"{origin}: {error.strerror or error}", Exit.INVALID) from error
    except RecursionError as error:
        raise CommandError(f"{origin}: This is nested too deeply.", Exit.INVALID) from error
    except ValueError as error:
        raise CommandError(f"{origin}: This is no JSON: {error}", Exit.INVALID) from error
