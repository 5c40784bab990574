"""The envelope of every message: CloudEvents 1.0 in structured JSON mode.

The type carries the version of the data as its suffix, as in
`workflows.execution-request.v1`. A message of the same kind with a higher
version is meant for newer services and left to them.
"""

import re
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

from shared.domain.instants import format_instant

Instant = Annotated[
    AwareDatetime, PlainSerializer(format_instant, return_type=str, when_used="json")
]
"""An instant as every API and message shows it: UTC, with milliseconds and a `Z`."""

_VERSIONED_TYPE: Final = re.compile(r"(?P<kind>workflows\.[a-z-]+)\.v(?P<version>[0-9]{1,6})")


class Message(BaseModel):
    """Base of the data that messages carry: camelCase in JSON, unknown fields ignored."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, frozen=True)


class CloudEvent(BaseModel):
    """The attributes of CloudEvents 1.0 that are used here."""

    model_config = ConfigDict(frozen=True)

    specversion: Literal["1.0"] = "1.0"
    id: Annotated[str, Field(min_length=1)]
    source: Annotated[str, Field(min_length=1)]
    type: Annotated[str, Field(min_length=1)]
    time: Instant
    subject: str | None = None
    datacontenttype: Literal["application/json"] = "application/json"


def split_type(event_type: str) -> tuple[str, int] | None:
    """Return kind and version of a message type of this project, or None for any other."""
    match = _VERSIONED_TYPE.fullmatch(event_type)
    return (match["kind"], int(match["version"])) if match else None
