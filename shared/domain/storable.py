"""Which JSON values the database can keep, decided before anything is written.

BSON holds integers of 64 bits, UTF-8 text (no lone surrogates), keys without
NUL, and at most 100 levels; JSON text can carry more than that.
"""

import math
from collections.abc import Iterator
from typing import Final

from pydantic import JsonValue

from shared.domain.errors import FieldProblem, InvalidInput

MAX_DEPTH: Final = 64
MAX_DOCUMENT: Final = 15 * 2**20
"""Bytes that one stored document may hold; MongoDB's own limit is 16 MiB."""

MAX_INPUT: Final = 4 * 2**20
MAX_OUTPUT: Final = 2**20
_ALL_OUTPUTS: Final = 8 * 2**20
_INT64: Final = 2**63
_PLAIN_MEMBERS, _PLAIN_LENGTH = 16, 256
_PLAIN_SIZE: Final = _PLAIN_MEMBERS * 2 * (_PLAIN_LENGTH + 16)
_DOCUMENT, _MEMBER, _STRING, _NUMBER = 5, 2, 5, 8


def check_storable(value: JsonValue, pointer: str = "") -> None:
    """Raise InvalidInput naming every place of `value` that cannot be stored, or its size."""
    problems = list(problems_in(value, pointer))
    if not problems and (size := size_of(value)) > MAX_INPUT:
        said = f"takes {size} bytes in the database; at most {MAX_INPUT} are kept"
        problems = [FieldProblem(pointer, said)]
    if problems:
        raise InvalidInput(problems)


def output_limit(actions: int) -> int:
    """Return how many bytes the output of each of so many actions may have."""
    return min(MAX_OUTPUT, _ALL_OUTPUTS // actions)


def problem_with_output(output: JsonValue, limit: int) -> str | None:
    """Say why an action's output cannot be kept, or return None."""
    if limit >= _PLAIN_SIZE and _is_plain(output):
        return None
    problem = next(problems_in(output), None)
    if problem:
        return f"{problem.pointer or 'the output'} {problem.detail}"
    size = size_of(output)
    return f"the output has {size} bytes; at most {limit} are kept" if size > limit else None


def _is_plain(output: JsonValue) -> bool:
    """Tell, quickly, whether an output is a few short values, as most are: then it can be kept."""
    if not isinstance(output, dict) or len(output) > _PLAIN_MEMBERS:
        return False
    for key, value in output.items():
        if not _is_short(key) or "\0" in key or not (value is None or _is_short(value)):
            return False
    return True


def _is_short(text: object) -> bool:
    return isinstance(text, str) and len(text) <= _PLAIN_LENGTH and text.isascii()


def storable_text(text: str) -> str:
    """Return a text that can be stored; what cannot stays readable, as an escape."""
    return text.encode(errors="backslashreplace").decode()


def size_of(value: JsonValue) -> int:
    """Return how many bytes a JSON value takes in BSON: a list of short items, many times its text.

    See bsonspec.org: a member is a byte for its type, its name, a NUL and the value.
    """
    if isinstance(value, str):
        return _STRING + _length(value)
    if isinstance(value, list):
        names = sum(len(str(position)) for position in range(len(value)))
        return _DOCUMENT + names + sum(_MEMBER + size_of(item) for item in value)
    if isinstance(value, dict):
        return _DOCUMENT + sum(_MEMBER + _length(k) + size_of(v) for k, v in value.items())
    return _NUMBER


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def problems_in(value: JsonValue, pointer: str = "", depth: int = 0) -> Iterator[FieldProblem]:
    """Yield what cannot be stored in `value`, with JSON pointers that start at `pointer`."""
    if depth > MAX_DEPTH:
        yield FieldProblem(pointer, f"is nested deeper than {MAX_DEPTH} levels")
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from problems_in(item, f"{pointer}/{position}", depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _problems_of_member(key, item, pointer, depth)
    elif problem := _problem_of_scalar(value):
        yield FieldProblem(pointer, problem)


def _problem_of_scalar(value: object) -> str | None:
    if isinstance(value, str):
        return None if _encodable(value) else "has a lone surrogate, which is no Unicode text"
    if isinstance(value, int):
        fits = -_INT64 <= value < _INT64
        return None if fits else "is an integer beyond 64 bits; send it as a string"
    if isinstance(value, float):
        return None if math.isfinite(value) else "is not a finite number"
    return None if value is None else f"is no JSON value but a {type(value).__name__}"


def escape(segment: str) -> str:
    """Escape one segment of a JSON pointer (RFC 6901, section 3)."""
    return segment.replace("~", "~0").replace("/", "~1")


def _problems_of_member(
    key: object, item: JsonValue, pointer: str, depth: int
) -> Iterator[FieldProblem]:
    if not isinstance(key, str) or "\0" in key or not _encodable(key):
        yield FieldProblem(pointer, f"has a key that cannot be stored: {key!a}")
    else:
        yield from problems_in(item, f"{pointer}/{escape(key)}", depth + 1)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
