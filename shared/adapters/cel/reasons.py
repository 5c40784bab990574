"""Saying in one readable line what the library found wrong."""

import re
from typing import Final

_SYNTAX: Final = re.compile(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?(.*)")
_EXPECTING: Final = re.compile(r" expecting .*")
_FUNCTION: Final = re.compile(r"Function '([^']+)' error: (.*)", re.DOTALL)
_WITHIN: Final = re.compile(r"Python function call failed: \w+: ")
_UNDEFINED: Final = re.compile(r"Undefined variable or function: '([^']*)'")
_ADVICE: Final = re.compile(r"\. (?:Check|CEL does not coerce|The value is outside)\b.*", re.DOTALL)
_LONGEST: Final = 200


def of_syntax(error: BaseException, source: str) -> str:
    """Say where an expression stops making sense."""
    said = str(error).removeprefix(f"Failed to parse expression '{source}': ")
    match = _SYNTAX.search(said)
    if not match:
        return _line(said)
    line, column, found = match.groups()
    where = f"column {column}" if line == "1" else f"line {line}, column {column}"
    if "input '<EOF>'" in found:
        return f"ends too early, at {where}"
    return _line(f"{_EXPECTING.sub('', found)} at {where}")


def of_failure(error: BaseException) -> str:
    """Say why an expression has no value."""
    said = str(error)
    if isinstance(error, KeyError):
        return f"there is no {_line(said)}"
    if isinstance(error, TypeError) and said.startswith("No such overload"):
        return "an operator, field or function was used with a value of the wrong type"
    if match := _UNDEFINED.match(said):
        return f"'{match[1]}' is not defined for what it is used with"
    if match := _FUNCTION.match(said):
        said = f"{match[1]}: {_WITHIN.sub('', match[2])}"
    return _line(_ADVICE.sub("", said))


def _line(text: str) -> str:
    line = " ".join(text.split()).removesuffix(".")
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "…"
