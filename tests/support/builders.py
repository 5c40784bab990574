"""Small builders of domain objects for tests."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from shared.adapters.memory.clock import EPOCH
from shared.domain import transitions
from shared.domain.actions import BUILT_IN_ACTIONS
from shared.domain.catalogue import ActionCatalogue
from shared.domain.definition import WorkflowDefinition
from shared.domain.execution import Execution, Lease, Status
from shared.domain.identity import manual_id, workflow_key
from shared.domain.workflow import Workflow, create

CATALOGUE = ActionCatalogue(BUILT_IN_ACTIONS)
NOW = EPOCH
SECOND = timedelta(seconds=1)
TENANT = "default"


def definition(
    workflow_id: str = "hello",
    *,
    interval: str | None = None,
    actions: list[dict[str, Any]] | None = None,
    **more: Any,
) -> WorkflowDefinition:
    trigger: dict[str, Any] = (
        {"type": "periodic", "interval": interval} if interval else {"type": "manual"}
    )
    document: dict[str, Any] = {
        "workflowId": workflow_id,
        **({} if "triggers" in more else {"trigger": trigger}),
        "actions": actions or [{"type": "log", "message": "hi"}],
        **more,
    }
    return CATALOGUE.parse(document)


def workflow(workflow_id: str = "hello", *, now: datetime = NOW, **more: Any) -> Workflow:
    return create(TENANT, definition(workflow_id, **more), 1, now)


def queued(
    name: str = "1", workflow_id: str = "hello", *, now: datetime = NOW, **changes: Any
) -> Execution:
    born = Execution(
        id=manual_id(TENANT, workflow_id, name),
        tenant=TENANT,
        workflow_id=workflow_id,
        version=1,
        trigger_id="manual",
        status=Status.QUEUED,
        created_at=now,
        retries_left=3,
        active_key=workflow_key(TENANT, workflow_id),
    )
    return replace(transitions.queue(born, now + 30 * SECOND), **changes)


def lease(token: str = "token", owner: str = "runner", until: datetime | None = None) -> Lease:
    return Lease(owner, token, until or NOW + 30 * SECOND)


def running(name: str = "1", workflow_id: str = "hello", **changes: Any) -> Execution:
    return replace(transitions.claim(queued(name, workflow_id), lease(), NOW), **changes)
