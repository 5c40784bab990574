"""A load: many one-step workflows, all due at one instant, put straight into the database."""

from datetime import datetime
from typing import Any

from shared.adapters.mongo.connection import MongoConnection
from shared.adapters.mongo.documents import VersionDocument, WorkflowDocument
from shared.adapters.mongo.workflow_mapping import workflow_document
from shared.domain.catalogue import ActionCatalogue, definition_text
from shared.domain.durations import parse_interval
from shared.domain.identity import version_key
from shared.domain.workflow import Workflow, create
from tests.support.builders import TENANT

_CHUNK = 2000


async def add_due_workflows(
    mongo: MongoConnection,
    catalogue: ActionCatalogue,
    count: int,
    due: datetime,
    actions: list[dict[str, Any]],
    interval: str = "8h",
) -> None:
    """Add workflows `load-0` … that run every `interval`, the next time at `due`."""
    for start in range(0, count, _CHUNK):
        made = [
            _workflow(catalogue, f"load-{number}", due, actions, interval)
            for number in range(start, min(start + _CHUNK, count))
        ]
        await VersionDocument.insert_many(
            [
                VersionDocument(
                    id=version_key(TENANT, w.id, 1), definition=definition_text(w.definition)
                )
                for w in made
            ]
        )
        await WorkflowDocument.insert_many([workflow_document(w) for w in made])


def _workflow(
    catalogue: ActionCatalogue,
    name: str,
    due: datetime,
    actions: list[dict[str, Any]],
    interval: str,
) -> Workflow:
    document: dict[str, Any] = {
        "workflowId": name,
        "trigger": {"type": "periodic", "interval": interval},
        "actions": actions,
    }
    definition = catalogue.parse(document)
    return create(TENANT, definition, 1, due - parse_interval(interval))
