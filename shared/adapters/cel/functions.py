"""The functions of expressions: those of the library, and what is added to it.

The library's own `cel.stdlib` is not offered as it is: `replace` and `join` can make
a text of any size out of a small one, `lists.range` a list, and `distinct` is
quadratic. What is here costs time and memory in line with what it is given.
"""

import base64
import math
from collections.abc import Callable, Mapping
from typing import Final

MAX_TEXT: Final = 2**20
NATIVE: Final = frozenset(
    {
        *("size", "contains", "startsWith", "endsWith", "matches", "has", "type", "dyn"),
        *("int", "uint", "double", "string", "bytes", "timestamp", "duration"),
        *("getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear"),
        *("getHours", "getMinutes", "getSeconds", "getMilliseconds"),
    }
)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, not {_kind(value)}")
    return value


def _items(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, not {_kind(value)}")
    return value


def _number(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"expected a number, not {_kind(value)}")
    return value


def _kind(value: object) -> str:
    kinds = {str: "text", list: "a list", dict: "an object", bool: "true or false"}
    return "null" if value is None else kinds.get(type(value), f"a {type(value).__name__}")


def _string(value: object) -> str:
    """Add to the library's `string`, which knows numbers and instants, the two truth values."""
    if not isinstance(value, bool):
        raise TypeError(f"expected a number, an instant, true or false, not {_kind(value)}")
    return "true" if value else "false"


def _join(items: object, separator: object = "") -> str:
    texts = [_text(item) for item in _items(items)]
    between = _text(separator)
    _check_length(sum(map(len, texts)) + len(between) * len(texts))
    return between.join(texts)


def _split(text: object, separator: object) -> list[str]:
    return _text(text).split(_text(separator)) if separator else list(_text(text))


def _replace(text: object, old: object, new: object) -> str:
    whole, part, other = _text(text), _text(old), _text(new)
    _check_length(len(whole) + whole.count(part) * len(other))
    return whole.replace(part, other)


def _check_length(length: int) -> None:
    if length > MAX_TEXT:
        raise ValueError(f"the text would have more than {MAX_TEXT} characters")


def _substring(text: object, start: int, end: int | None = None) -> str:
    whole = _text(text)
    last = len(whole) if end is None else end
    if not 0 <= start <= last <= len(whole):
        raise ValueError(f"{start} to {last} is not within a text of {len(whole)} characters")
    return whole[start:last]


def _flatten(lists: object) -> list[object]:
    return [part for item in _items(lists) for part in (item if isinstance(item, list) else [item])]


def _sum(items: object) -> int | float:
    return sum(_number(item) for item in _items(items))


def _greatest(*numbers: object) -> int | float:
    return max(_numbers(numbers))


def _least(*numbers: object) -> int | float:
    return min(_numbers(numbers))


def _numbers(numbers: tuple[object, ...]) -> list[int | float]:
    given = numbers[0] if len(numbers) == 1 and isinstance(numbers[0], list) else list(numbers)
    if not given:
        raise ValueError("expected at least one number")
    return [_number(number) for number in given]


def _round(number: object) -> float:
    """Halves go away from zero, as in CEL's math extension."""
    value = _number(number)
    return math.copysign(math.floor(abs(value) + 0.5), value) if math.isfinite(value) else value


def _whole(rounding: Callable[[float], int]) -> Callable[[object], float]:
    def function(number: object) -> float:
        value = _number(number)
        return float(rounding(value)) if math.isfinite(value) else value

    return function


def _encode(data: object) -> str:
    given = data if isinstance(data, bytes) else _text(data).encode()
    return base64.b64encode(given).decode()


ADDED: Final[Mapping[str, Callable[..., object]]] = {
    "string": _string,
    "join": _join,
    "split": _split,
    "replace": _replace,
    "substring": _substring,
    "indexOf": lambda text, part: _text(text).find(_text(part)),
    "trim": lambda text: _text(text).strip(),
    "lowerAscii": lambda text: _text(text).encode().lower().decode(),
    "upperAscii": lambda text: _text(text).encode().upper().decode(),
    "flatten": _flatten,
    "sum": _sum,
    "math.greatest": _greatest,
    "math.least": _least,
    "math.abs": lambda number: abs(_number(number)),
    "math.round": _round,
    "math.ceil": _whole(math.ceil),
    "math.floor": _whole(math.floor),
    "base64.encode": _encode,
    "base64.decode": lambda text: base64.b64decode(_text(text), validate=True),
}
