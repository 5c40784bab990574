"""The collections: their fields as Beanie documents, and the indexes the promises rest on.

Partial indexes compare with a constant (`$gt: ""`, `$gt: 1970`) because
`$exists` would index the nulls and `$type` would keep equality queries from
using them; so every query on such a field repeats the comparison.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Final

from beanie import Document
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pymongo import ASCENDING, DESCENDING, IndexModel

from shared.ports.dead_letters import DeadLetterStatus

DAWN: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Before every instant there is; `{$gt: DAWN}` means "has an instant"."""

ONE_REPLY: Final = 10_000
"""The `batch_size` for what is read whole: without it the first reply ends at 101 documents."""

BY_ID: Final = "_id_"
"""The index to hint at where a second one would do too: MongoDB tries both, each time anew."""

ACTIVE_KEY_INDEX: Final = "active_key"
BUFFER_KEY_INDEX: Final = "buffer_key"
_CONFIG: Final = ConfigDict(alias_generator=to_camel, validate_by_name=True)


class HoldDocument(BaseModel):
    """Up to when the instants of a trigger keep an earlier delay, in milliseconds."""

    until: datetime
    delay: int


class TriggerDocument(BaseModel):
    """A trigger and its next instant; or several of them, with the earliest one's."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel, validate_by_name=True)

    type: str
    next_run_at: datetime | None = None
    runs: int | None = None
    held: HoldDocument | None = None
    triggers: list["TriggerDocument"] | None = None


class _Pause(BaseModel):
    since: datetime
    reason: str


class WorkflowDocument(Document):
    """A workflow with its current definition; `_id` is `tenant:workflowId`."""

    model_config = _CONFIG

    id: Annotated[str, Field(alias="_id")]  # type: ignore[assignment]
    tenant: str
    workflow_id: str
    version: int
    enabled: bool
    trigger: TriggerDocument
    actions: list[dict[str, Any]]
    retry: dict[str, Any]
    timeout: str | None = None
    pause_on_failure: int | None = None
    overlap: dict[str, Any] | None = None
    options: str = "{}"
    shard: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None
    paused: _Pause | None = None
    resumed_at: datetime | None = None
    narrowed: bool | None = None

    class Settings:
        """Collection and indexes."""

        name = "workflows"
        keep_nulls = False
        indexes: ClassVar = [
            IndexModel(
                [("trigger.nextRunAt", ASCENDING), ("shard", ASCENDING)],
                name="due",
                partialFilterExpression={"enabled": True, "trigger.nextRunAt": {"$gt": DAWN}},
            ),
            IndexModel([("tenant", ASCENDING), ("workflowId", ASCENDING)], name="listing"),
        ]


class VersionDocument(Document):
    """One immutable version of a definition; `_id` is `tenant:workflowId:version`.

    The definition is kept as JSON text, the form that runners read fastest.
    """

    id: Annotated[str, Field(alias="_id")]  # type: ignore[assignment]
    definition: str

    class Settings:
        """Collection."""

        name = "workflow_versions"


class ExecutionDocument(Document):
    """Names the collection of executions and its indexes.

    Executions are read and written through the collection itself: claims and
    results travel in batches, where an ODM would cost more than the database.
    """

    id: Annotated[str, Field(alias="_id")]  # type: ignore[assignment]

    class Settings:
        """Collection and indexes."""

        name = "executions"
        indexes: ClassVar = [
            IndexModel(
                [("activeKey", ASCENDING)],
                name=ACTIVE_KEY_INDEX,
                unique=True,
                partialFilterExpression={"activeKey": {"$gt": ""}},
            ),
            IndexModel(
                [("bufferKey", ASCENDING)],
                name=BUFFER_KEY_INDEX,
                unique=True,
                partialFilterExpression={"bufferKey": {"$gt": ""}},
            ),
            IndexModel(
                [("wakeAt", ASCENDING), ("shard", ASCENDING)],
                name="due",
                partialFilterExpression={"wakeAt": {"$gt": DAWN}},
            ),
            IndexModel(
                [("activeKey", ASCENDING), ("tenant", ASCENDING)],
                name="orphans",
                partialFilterExpression={"activeKey": {"$gt": ""}, "wakeAt": None},
            ),
            IndexModel(
                [("bufferKey", ASCENDING), ("tenant", ASCENDING)],
                name="buffered_orphans",
                partialFilterExpression={"bufferKey": {"$gt": ""}, "wakeAt": None},
            ),
            IndexModel(
                [
                    ("tenant", ASCENDING),
                    ("workflowId", ASCENDING),
                    ("createdAt", DESCENDING),
                    ("_id", DESCENDING),
                ],
                name="by_workflow",
            ),
            IndexModel(
                [("tenant", ASCENDING), ("createdAt", DESCENDING), ("_id", DESCENDING)],
                name="by_time",
            ),
            IndexModel(
                [
                    ("tenant", ASCENDING),
                    ("status", ASCENDING),
                    ("createdAt", DESCENDING),
                    ("_id", DESCENDING),
                ],
                name="unsuccessful",
                partialFilterExpression={"status": {"$in": ["failed", "cancelled", "skipped"]}},
            ),
            IndexModel(
                [("expiresAt", ASCENDING)],
                name="retention",
                expireAfterSeconds=0,
                partialFilterExpression={"expiresAt": {"$gt": DAWN}},
            ),
        ]


class HistoryChunkDocument(Document):
    """The older events of one execution with a long history."""

    id: Annotated[str, Field(alias="_id")]  # type: ignore[assignment]

    class Settings:
        """Collection and indexes."""

        name = "execution_history"
        indexes: ClassVar = [
            IndexModel([("executionId", ASCENDING), ("first", ASCENDING)], name="by_execution"),
            IndexModel(
                [("expiresAt", ASCENDING)],
                name="retention",
                expireAfterSeconds=0,
                partialFilterExpression={"expiresAt": {"$gt": DAWN}},
            ),
        ]


class DeadLetterDocument(Document):
    """A message that no runner could understand."""

    model_config = _CONFIG

    id: Annotated[str, Field(alias="_id")]  # type: ignore[assignment]
    topic: str
    partition: int
    offset: int
    timestamp: datetime
    key: bytes | None = None
    value: bytes
    reason: str
    status: DeadLetterStatus
    received_at: datetime
    resolved_at: datetime | None = None
    expires_at: datetime

    class Settings:
        """Collection and indexes."""

        name = "dead_letters"
        keep_nulls = False
        indexes: ClassVar = [
            IndexModel([("receivedAt", DESCENDING), ("_id", DESCENDING)], name="by_time"),
            IndexModel([("expiresAt", ASCENDING)], name="retention", expireAfterSeconds=0),
        ]


class MemberDocument(Document):
    """A live scheduler; it disappears some time after its last beat."""

    id: Annotated[str, Field(alias="_id")]  # type: ignore[assignment]
    until: datetime

    class Settings:
        """Collection and indexes."""

        name = "scheduler_members"
        indexes: ClassVar = [
            IndexModel([("until", ASCENDING)], name="expiry", expireAfterSeconds=3600)
        ]


class EventPublisherDocument(Document):
    """How far one process has published what it recorded, and until when that holds."""

    model_config = _CONFIG

    id: Annotated[str, Field(alias="_id")]  # type: ignore[assignment]
    published_until: datetime
    beat_until: datetime
    revision: int
    retention: Annotated[int, Field(description="In milliseconds.")]

    class Settings:
        """Collection and indexes."""

        name = "event_publishers"
        indexes: ClassVar = [IndexModel([("beatUntil", ASCENDING)], name="lapsed")]


DOCUMENTS: Final = (
    WorkflowDocument,
    VersionDocument,
    ExecutionDocument,
    HistoryChunkDocument,
    DeadLetterDocument,
    MemberDocument,
    EventPublisherDocument,
)
