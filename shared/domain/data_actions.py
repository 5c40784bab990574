"""The parameters of the built-in actions that reach databases and message brokers.

What they do is in `runner_svc/actions`. Documents, filters and updates for
MongoDB are MongoDB Extended JSON, as in `{"_id": {"$oid": "…"}}`.
"""

import re
from datetime import timedelta
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StrictBool,
    ValidationInfo,
    field_validator,
)

from shared.domain.definition import ActionDefinition
from shared.domain.durations import Duration

RESULTS_COLLECTION: Final = "workflow_action_results"
"""Where an action leaves its result, in the database that it changes."""

DEFAULT_LIMIT: Final = 100
MAX_DOCUMENTS: Final = 1000
_LONGEST_TRANSACTION: Final = timedelta(minutes=2)

_SYSTEM_DATABASES: Final = frozenset({"admin", "local", "config"})
_NOT_IN_DATABASE: Final = re.compile(r'[/\\. "$*<>:|?\x00-\x20]')
_LONGEST_DATABASE, _LONGEST_COLLECTION = 63, 190  # bytes; a namespace has at most 255
_JAVASCRIPT: Final = frozenset({"$where", "$function", "$accumulator"})
_WRITING_STAGES: Final = frozenset({"$out", "$merge"})

_REQUIRED: Final[dict[str, tuple[str, ...]]] = {
    "find": (),
    "insert": ("documents",),
    "update": ("filter", "update"),
    "delete": ("filter",),
}
_OPTIONAL: Final[dict[str, tuple[str, ...]]] = {
    "find": ("filter", "projection", "sort", "limit"),
    "insert": (),
    "update": ("many", "upsert"),
    "delete": ("many",),
}
_FIELDS: Final = ("filter", "documents", "update", "many", "upsert", "projection", "sort", "limit")

ConnectionName = Annotated[
    str,
    Field(
        pattern=r"^[a-z][a-z0-9_]{0,63}$",
        description="Small letters, digits and '_': ORDERS in the runner's variable is 'orders'.",
    ),
]


def check_operators(value: JsonValue) -> JsonValue:
    """Return `value`; raise ValueError if an operator in it runs code or writes elsewhere."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name in _JAVASCRIPT:
                raise ValueError(f"has '{name}'; JavaScript on the server is not allowed")
            if name in _WRITING_STAGES:
                raise ValueError(f"has '{name}'; only the named collection may be written")
            check_operators(item)
    elif isinstance(value, list):
        for item in value:
            check_operators(item)
    return value


def _check_database(name: str) -> str:
    if name.lower() in _SYSTEM_DATABASES:
        raise ValueError(f"is '{name}', which belongs to MongoDB itself")
    if not name or len(name.encode()) > _LONGEST_DATABASE or _NOT_IN_DATABASE.search(name):
        raise ValueError(
            f'must have 1 to {_LONGEST_DATABASE} bytes, without spaces and any of /\\."$*<>:|?'
        )
    return name


def _check_collection(name: str) -> str:
    if name.startswith("system."):
        raise ValueError(f"is '{name}', which belongs to MongoDB itself")
    if name == RESULTS_COLLECTION:
        raise ValueError(f"is '{name}', which keeps the results of actions")
    odd = "$" in name or "\0" in name or name.startswith(".") or name.endswith(".")
    if not name or odd or len(name.encode()) > _LONGEST_COLLECTION:
        raise ValueError(
            f"must have 1 to {_LONGEST_COLLECTION} bytes, no '$', and no '.' at either end"
        )
    return name


def _check_update(update: object) -> object:
    """Say what an update is before the union of its types gives an error for each of them."""
    stages = update if isinstance(update, list) else [update]
    if not stages:
        raise ValueError("must have at least one stage")
    for stage in stages:
        if not isinstance(stage, dict) or not stage:
            raise ValueError(
                "must be an object of update operators, such as {'$set': {…}}, or a list of stages"
            )
        _check_operator_names(stage)
    return update


def _check_operator_names(stage: dict[str, object]) -> None:
    for name in stage:
        if not name.startswith("$"):
            raise ValueError(
                f"has '{name}' where an update operator such as '$set' belongs; "
                "documents are changed, never replaced as a whole"
            )


def _check_timeout(length: timedelta) -> timedelta:
    if not timedelta() < length <= _LONGEST_TRANSACTION:
        raise ValueError("must be longer than 0 and at most 2m")
    return length


Query = Annotated[dict[str, JsonValue], AfterValidator(check_operators)]
Update = Annotated[
    dict[str, JsonValue] | list[dict[str, JsonValue]],
    BeforeValidator(_check_update),
    AfterValidator(check_operators),
]


class MongodbAction(ActionDefinition):
    """Finds, inserts, updates or deletes documents, in one transaction.

    The effect is exactly once: a write and a record of its result are committed
    together, so an attempt that is repeated returns the first one's result.
    `filter: {}` means every document, and has to be given to mean it.
    """

    # An absent field is looked at as well: an operation may require it.
    model_config = ConfigDict(validate_default=True)

    type: Literal["mongodb"]
    connection: Annotated[
        ConnectionName, Field(description="`orders` is the runner's MONGODB_CONNECTION_ORDERS.")
    ] = "default"
    database: Annotated[
        str,
        AfterValidator(_check_database),
        Field(description="Not `admin`, `local` or `config`."),
    ]
    collection: Annotated[
        str,
        AfterValidator(_check_collection),
        Field(description="Not one of MongoDB's own or of the results of actions."),
    ]
    operation: Annotated[
        Literal["find", "insert", "update", "delete"], Field(description="What to do.")
    ]
    filter: Annotated[
        Query | None,
        Field(description="Which documents; required but for `insert`, optional for `find`."),
    ] = None
    documents: Annotated[
        list[dict[str, JsonValue]] | None,
        Field(min_length=1, max_length=MAX_DOCUMENTS, description="What to insert."),
    ] = None
    update: Annotated[
        Update | None, Field(description="Update operators, or a pipeline of stages.")
    ] = None
    many: Annotated[
        StrictBool | None, Field(description="Every document that matches, not the first alone.")
    ] = None
    upsert: Annotated[
        StrictBool | None, Field(description="Insert a document where none matches.")
    ] = None
    projection: Annotated[Query | None, Field(description="`find`: which fields to return.")] = None
    sort: Annotated[
        dict[str, Literal[1, -1]] | None,
        Field(min_length=1, description="`find`: fields with 1 (ascending) or -1."),
    ] = None
    limit: Annotated[
        int | None,
        Field(ge=1, le=MAX_DOCUMENTS, strict=True, description=f"By default {DEFAULT_LIMIT}."),
    ] = None
    # The strongest, at no extra cost on a replica set: one instant over all shards, and nothing
    # that a failover could take back, as the transaction's majority write concern proves it.
    read_concern: Annotated[
        Literal["local", "majority", "snapshot"],
        Field(description="What the transaction may see."),
    ] = "snapshot"
    write_concern: Annotated[
        Literal[1, "majority"],
        Field(description="1 is faster; a failover may then undo what was reported as done."),
    ] = "majority"
    timeout: Annotated[
        Duration,
        AfterValidator(_check_timeout),
        Field(description="For all tries of the transaction together, at most 2m."),
    ] = timedelta(seconds=30)

    @field_validator(*_FIELDS, mode="after")
    @classmethod
    def _fits_its_operation(cls, value: object, info: ValidationInfo) -> object:
        operation, field = info.data.get("operation"), str(info.field_name)
        if operation is None:  # wrong itself, and refused for it
            return value
        if value is None and field in _REQUIRED[operation]:
            raise ValueError(
                f"is required by the operation '{operation}'"
                + ("; {} means every document" if field == "filter" else "")
            )
        if value is not None and field not in {*_REQUIRED[operation], *_OPTIONAL[operation]}:
            raise ValueError(f"has no meaning for the operation '{operation}'")
        return value


MAX_HEADERS: Final = 64
KEY_HEADER: Final = "idempotency-key"
_LONGEST_HEADER: Final = 8_192


def _check_topic(topic: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", topic) or topic in {".", ".."}:
        raise ValueError(
            "must be a Kafka topic: letters, digits, '.', '_' and '-', at most 249 of them"
        )
    return topic


def _check_headers(headers: dict[str, str]) -> dict[str, str]:
    if len(headers) > MAX_HEADERS:
        raise ValueError(f"has {len(headers)} headers; at most {MAX_HEADERS} are allowed")
    for name, value in headers.items():
        if not name or max(len(name), len(value)) > _LONGEST_HEADER:
            raise ValueError(
                f"the header {name[:64]!r} or its value is empty or longer than {_LONGEST_HEADER}"
            )
        if name.lower() == KEY_HEADER:
            raise ValueError(f"{name!r} is set by the platform, the same over every attempt")
    return headers


class KafkaPublishAction(ActionDefinition):
    """Publishes one message to a topic and waits until all replicas in sync have it.

    The effect is at least once, with a stable key: every message carries the
    header `idempotency-key`, the same over retries and recoveries, by which
    consumers tell a repetition.
    """

    type: Literal["kafka-publish"]
    cluster: Annotated[
        ConnectionName,
        Field(
            description="`orders` is the runner's KAFKA_CONNECTION_ORDERS; `default`, where "
            "that is not set, the platform's own brokers."
        ),
    ] = "default"
    topic: Annotated[
        str, AfterValidator(_check_topic), Field(description="Not one of the platform's own.")
    ]
    # Not `key`, which is every action's own name within its workflow.
    message_key: Annotated[
        str | None,
        Field(alias="key", max_length=8_192, description="Equal keys go to one partition."),
    ] = None
    value: Annotated[
        JsonValue, Field(description="A string is sent as it is; anything else as JSON.")
    ] = None
    headers: Annotated[
        dict[str, str],
        AfterValidator(_check_headers),
        Field(
            default_factory=dict,
            description=f"At most {MAX_HEADERS}. `{KEY_HEADER}` is added.",
        ),
    ]
