"""Executions that somebody asks for: triggered, replayed or rerun."""

from dataclasses import dataclass
from datetime import datetime

from pydantic import JsonValue

from shared.domain import transitions
from shared.domain.definition import WorkflowDefinition
from shared.domain.execution import Execution, Origin, Status
from shared.domain.identity import workflow_key
from shared.domain.outcomes import Timing
from shared.domain.plan import deadline, initial_retries


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks for: an execution with this id and input.

    `fingerprint` tells the same request, sent again, from another under the same id.
    """

    id: str
    input: JsonValue
    fingerprint: str | None = None
    origin: Origin | None = None


def manual(
    definition: WorkflowDefinition,
    tenant: str,
    version: int,
    asked: Asked,
    now: datetime,
    timing: Timing,
) -> Execution:
    """Return the queued execution of a version of a definition; it holds the workflow."""
    born = Execution(
        id=asked.id,
        tenant=tenant,
        workflow_id=definition.workflow_id,
        version=version,
        trigger_id="manual",
        status=Status.QUEUED,
        created_at=now,
        deadline=deadline(definition, now),
        input=asked.input,
        request_fingerprint=asked.fingerprint,
        origin=asked.origin,
        retries_left=initial_retries(definition),
        active_key=workflow_key(tenant, definition.workflow_id),
    )
    return transitions.queue(born, now + timing.resend)
