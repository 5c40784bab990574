"""Workflows in memory: the reference for what the contract means, and a fast stand-in."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from shared.domain.catalogue import definition_text
from shared.domain.definition import WorkflowDefinition
from shared.domain.due import DueWorkflow, due_workflows
from shared.domain.identity import workflow_key
from shared.domain.pause import Pause
from shared.domain.pausing import pause
from shared.domain.rescheduling import relied_on, reschedules
from shared.domain.workflow import Workflow
from shared.ports.workflows import Advance, Upcoming, VersionRef, WorkflowQuery


class MemoryWorkflows:
    """A WorkflowRepository in dicts. Each method is atomic: none awaits anything."""

    def __init__(self) -> None:
        self._by_key: dict[str, Workflow] = {}
        self._versions: dict[VersionRef, WorkflowDefinition] = {}

    async def add_version(self, tenant: str, definition: WorkflowDefinition, version: int) -> bool:
        """See WorkflowRepository.add_version."""
        ref = VersionRef(tenant, definition.workflow_id, version)
        kept = self._versions.setdefault(ref, definition)
        return definition_text(kept) == definition_text(definition)

    async def versions(
        self, refs: Collection[VersionRef]
    ) -> Mapping[VersionRef, WorkflowDefinition]:
        """See WorkflowRepository.versions."""
        return {ref: self._versions[ref] for ref in refs if ref in self._versions}

    async def add(self, workflow: Workflow) -> bool:
        """See WorkflowRepository.add."""
        return self._by_key.setdefault(workflow.key, workflow) is workflow

    async def get(self, tenant: str, workflow_id: str) -> Workflow | None:
        """See WorkflowRepository.get."""
        return self._by_key.get(workflow_key(tenant, workflow_id))

    async def save(self, before: Workflow, after: Workflow) -> bool:
        """See WorkflowRepository.save."""
        stored = self._by_key.get(before.key)
        if stored is None or _guard(stored) != _guard(before):
            return False
        if not reschedules(before, after):
            kept = stored
            after = replace(after, next_runs=kept.next_runs, runs=kept.runs, holds=kept.holds)
        elif any(stored.next_runs.get(name) != at for name, at in relied_on(before, after).items()):
            return False
        self._by_key[before.key] = after
        return True

    async def find(self, query: WorkflowQuery) -> list[Workflow]:
        """See WorkflowRepository.find."""
        found = [
            workflow
            for workflow in self._by_key.values()
            if workflow.tenant == query.tenant
            and workflow.deleted_at is None
            and query.trigger_type in {None, *_trigger_types(workflow)}
            and (query.after is None or workflow.id > query.after)
        ]
        return sorted(found, key=lambda workflow: workflow.id)[: query.limit]

    async def due(
        self, horizon: datetime, shards: Collection[int] | None, limit: int
    ) -> list[Upcoming]:
        """See WorkflowRepository.due."""
        found = [
            Upcoming(w.tenant, w.id, w.next_run_at)
            for w in self._by_key.values()
            if w.enabled
            and w.next_run_at
            and w.next_run_at <= horizon
            and (shards is None or w.shard in shards)
        ]
        return sorted(found, key=lambda upcoming: upcoming.next_run_at)[:limit]

    async def read_due(self, keys: Collection[str]) -> list[DueWorkflow]:
        """See WorkflowRepository.read_due."""
        known = (self._by_key[key] for key in keys if key in self._by_key)
        return [due for w in known if w.enabled for due in due_workflows(w)]

    async def advance(self, moves: Sequence[Advance]) -> None:
        """See WorkflowRepository.advance."""
        for move in moves:
            key = workflow_key(move.tenant, move.workflow_id)
            workflow = self._by_key.get(key)
            if workflow and workflow.version == move.version:
                self._by_key[key] = _moved(workflow, move)

    async def pause(self, due: DueWorkflow, why: Pause) -> bool:
        """See WorkflowRepository.pause."""
        workflow = self._by_key.get(due.key)
        if workflow is None or not workflow.enabled:
            return False
        if (workflow.version, workflow.resumed_at) != (due.version, due.resumed_at):
            return False
        self._by_key[due.key] = pause(workflow, why)
        return True


def _moved(workflow: Workflow, move: Advance) -> Workflow:
    (name, *_) = (move.trigger_id,) if move.trigger_id else workflow.definition.all_triggers
    if workflow.next_runs.get(name) != move.due:
        return workflow
    others = {key: at for key, at in workflow.next_runs.items() if key != name}
    moved = {name: move.next_run_at} if move.next_run_at else {}
    runs = workflow.runs
    if move.fires:
        runs = {**runs, name: runs.get(name, 0) + move.fires}
    return replace(workflow, next_runs={**others, **moved}, runs=runs)


def _trigger_types(workflow: Workflow) -> set[str]:
    return {trigger.type for trigger in workflow.definition.all_triggers.values()}


def _guard(workflow: Workflow) -> tuple[int, bool, datetime | None, Pause | None]:
    return workflow.version, workflow.enabled, workflow.deleted_at, workflow.paused
