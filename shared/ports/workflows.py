"""What the core needs of the place where workflows are kept."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.definition import WorkflowDefinition
from shared.domain.due import DueWorkflow
from shared.domain.pause import Pause
from shared.domain.workflow import Workflow


@dataclass(frozen=True, slots=True)
class VersionRef:
    """Names one immutable version of a definition."""

    tenant: str
    workflow_id: str
    version: int


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A workflow and the instant at which a trigger of it is due, whichever that is."""

    tenant: str
    workflow_id: str
    next_run_at: datetime


@dataclass(frozen=True, slots=True)
class Advance:
    """Move a trigger's next instant, provided that and the version are still the ones given.

    Without a `next_run_at` there is none any more. With it, `fires` are added to its runs.
    `trigger_id` says which of several triggers is meant; a workflow that has but one needs
    no saying.
    """

    tenant: str
    workflow_id: str
    version: int
    due: datetime
    next_run_at: datetime | None
    fires: int = 0
    trigger_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowQuery:
    """Which workflows to list, by id. `after` is the last id of the page before.

    Those with a `trigger_type` have a trigger of that type, among others perhaps.
    """

    tenant: str
    trigger_type: str | None = None
    after: str | None = None
    limit: int = 50


class WorkflowRepository(Protocol):
    """Keeps workflows and every version of their definitions.

    Every method raises Unavailable when the storage does not answer.
    """

    async def add_version(self, tenant: str, definition: WorkflowDefinition, version: int) -> bool:
        """Keep a version for ever; False if another definition already has that number."""
        ...

    async def versions(
        self, refs: Collection[VersionRef]
    ) -> Mapping[VersionRef, WorkflowDefinition]:
        """Return the definitions that exist among `refs`."""
        ...

    async def add(self, workflow: Workflow) -> bool:
        """Add a workflow; False if its id is taken, also by a deleted one."""
        ...

    async def get(self, tenant: str, workflow_id: str) -> Workflow | None:
        """Return a workflow, deleted ones included (`deleted_at` is set), or None."""
        ...

    async def save(self, before: Workflow, after: Workflow) -> bool:
        """Store `after` unless the workflow was changed since it was `before`; else False.

        Version, enabled, paused and deleted tell.
        Next instants, and the runs with them, are written only if `after` changes one, or a
        trigger, and then only if those are still the ones in `before` that the change
        relies on (`relied_on`).
        """
        ...

    async def find(self, query: WorkflowQuery) -> list[Workflow]:
        """Return at most `query.limit` workflows ordered by id, deleted ones left out."""
        ...

    async def due(
        self, horizon: datetime, shards: Collection[int] | None, limit: int
    ) -> list[Upcoming]:
        """Return enabled workflows due at or before `horizon`, each once, earliest first.

        The cost depends on what is due, not on what is stored.
        """
        ...

    async def read_due(self, keys: Collection[str]) -> list[DueWorkflow]:
        """Return the present schedule of the enabled workflows among `keys` that have one.

        There is one for each trigger that has an instant to come, in their order.
        A trigger that cannot be read here is left to a scheduler that can.
        """
        ...

    async def advance(self, moves: Sequence[Advance]) -> None:
        """Apply each move whose condition holds."""
        ...

    async def pause(self, due: DueWorkflow, why: Pause) -> bool:
        """Pause a workflow; False unless it is enabled, and of the version and resumption given."""
        ...
