"""MongoDB Extended JSON (relaxed, version 2): how a definition writes what JSON has no word for.

See https://github.com/mongodb/specifications, "MongoDB Extended JSON".
"""

import json
from typing import Any, Final

import bson
from bson import json_util
from bson.codec_options import DatetimeConversion
from bson.errors import BSONError
from pydantic import JsonValue

from shared.ports.actions import PermanentError

Raw = dict[str, Any]
_RELAXED: Final = json_util.JSONOptions(
    json_mode=json_util.JSONMode.RELAXED,
    tz_aware=True,
    # A date beyond the year 9999 is still a date.
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
)
_LONGEST: Final = 300
_INVALID: Final = (
    BSONError,
    AttributeError,
    KeyError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What the driver's reader raises for `{"$oid": 5}`, `{"$numberLong": "x"}` and their like."""


def read_document(value: JsonValue, field: str) -> Raw:
    """Return the document that Extended JSON stands for.

    Raises a permanent ActionError naming `field` for what is none, or what BSON cannot hold.
    """
    try:
        document = json.loads(json.dumps(value), object_hook=_typed)
        if not isinstance(document, dict):
            raise PermanentError(f"'{field}' must be a document")
        bson.encode(document)
    except _INVALID as error:
        why = f"{type(error).__name__}: {error}"[:_LONGEST]
        said = f"'{field}' is not MongoDB Extended JSON: {why}"
        raise PermanentError(said) from None
    return document


def _typed(raw: Raw) -> Any:
    """Return what an object stands for; of these two, the driver would drop the fields beside.

    So a delete of `{"$regex": "^a", "$ne": "ab"}` would take 'ab' too. Left as it is,
    `$regex` is the query operator, and the server refuses what is wrong.
    """
    if "$regex" in raw or "$undefined" in raw:
        return raw
    return json_util.object_hook(raw, _RELAXED)


def write_value(value: object) -> JsonValue:
    """Return plain JSON for a value from the database: an ObjectId becomes `{"$oid": …}`."""
    text = json_util.dumps(value, json_options=_RELAXED)
    plain: JsonValue = json.loads(text)
    return plain
