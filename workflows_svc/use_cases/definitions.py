"""Creating, changing and removing workflows."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import JsonValue

from shared.domain import workflow as workflows
from shared.domain.catalogue import ActionCatalogue, normalised
from shared.domain.data_flow import check_data_flow
from shared.domain.definition import WorkflowDefinition
from shared.domain.errors import (
    Conflict,
    FieldProblem,
    InvalidInput,
    NotFound,
    VersionMismatch,
    WorkflowExists,
)
from shared.domain.execution import Skip, SkipReason
from shared.domain.identity import fingerprint
from shared.domain.occurrences import recorded_until, skipped_occurrence
from shared.domain.outcomes import Timing
from shared.domain.rescheduling import reschedules, superseded
from shared.domain.schedule import Missed, missed_after
from shared.domain.workflow import DueWorkflow, Workflow
from shared.ports.bus import WorkflowChanged
from shared.ports.clock import Clock
from shared.ports.executions import AddOutcome, ExecutionRepository
from shared.ports.expressions import ExpressionLanguage
from shared.ports.inputs import InputValidator
from shared.ports.workflows import WorkflowRepository

_ATTEMPTS: Final = 20


@dataclass(frozen=True, slots=True)
class DefineWorkflows:
    """The commands on definitions. A race with another caller is decided by the storage."""

    workflows: WorkflowRepository
    executions: ExecutionRepository
    catalogue: ActionCatalogue
    inputs: InputValidator
    clock: Clock
    timing: Timing
    announce: Callable[[WorkflowChanged], None]
    language: ExpressionLanguage
    env_allowed: Collection[str] = ()

    async def create(self, tenant: str, document: JsonValue) -> tuple[Workflow, bool]:
        """Create a workflow; returns it, and False if it was there with the same definition.

        Raises InvalidInput, or WorkflowExists if it is there with another definition.
        """
        definition = self._parse(document)
        for _ in range(_ATTEMPTS):
            existing = await self.workflows.get(tenant, definition.workflow_id)
            if existing and existing.deleted_at is None:
                if _is_same(existing.definition, definition):
                    return existing, False
                raise WorkflowExists(existing.id, existing.version)
            version = await self._keep_version(
                tenant, definition, existing.version + 1 if existing else 1
            )
            created = workflows.create(tenant, definition, version, self.clock.now())
            if await self._store(existing, created):
                self._announce(created)
                return created, True
        raise _contended(definition.workflow_id)

    async def replace(
        self, tenant: str, workflow_id: str, document: JsonValue, if_match: int | None
    ) -> Workflow:
        """Give a workflow a new definition; running executions keep theirs.

        Raises NotFound, InvalidInput, or VersionMismatch if `if_match` is not its version.
        """
        definition = self._parse(_with_id(document, workflow_id))
        for _ in range(_ATTEMPTS):
            current = await self.get(tenant, workflow_id)
            _check_version(current, if_match)
            if _is_same(current.definition, definition):
                return current
            version = await self._keep_version(tenant, definition, current.version + 1)
            now = self.clock.now()
            await self._record_superseded(current, definition, now)
            changed = workflows.redefine(current, definition, version, now)
            if await self.workflows.save(current, changed):
                if reschedules(current, changed):
                    self._announce(changed)
                return changed
        raise _contended(workflow_id)

    async def set_enabled(
        self, tenant: str, workflow_id: str, *, enabled: bool, if_match: int | None
    ) -> Workflow:
        """Switch a workflow on or off; what it missed while off is recorded as skipped."""
        for _ in range(_ATTEMPTS):
            current = await self.get(tenant, workflow_id)
            _check_version(current, if_match)
            if current.enabled == enabled:
                return current
            changed = await self._switched(current, enabled=enabled)
            if await self.workflows.save(current, changed):
                self._announce(changed)
                return changed
        raise _contended(workflow_id)

    async def delete(self, tenant: str, workflow_id: str, if_match: int | None) -> Workflow:
        """Remove a workflow: no further fires; its history stays. Raises NotFound."""
        for _ in range(_ATTEMPTS):
            current = await self.get(tenant, workflow_id)
            _check_version(current, if_match)
            if await self.workflows.save(current, workflows.delete(current, self.clock.now())):
                return current
        raise _contended(workflow_id)

    async def get(self, tenant: str, workflow_id: str) -> Workflow:
        """Return a workflow that was not deleted. Raises NotFound."""
        found = await self.workflows.get(tenant, workflow_id)
        if found is None or found.deleted_at is not None:
            raise NotFound("workflow", workflow_id)
        return found

    def _parse(self, document: JsonValue) -> WorkflowDefinition:
        definition = self.catalogue.parse(document)
        check_data_flow(definition, self.language, self.env_allowed)
        if definition.input_schema is not None:
            self.inputs.check_schema(definition.input_schema, "/inputSchema")
        return definition

    async def _store(self, tombstone: Workflow | None, created: Workflow) -> bool:
        if tombstone is None:
            return await self.workflows.add(created)
        return await self.workflows.save(tombstone, created)

    async def _keep_version(self, tenant: str, definition: WorkflowDefinition, version: int) -> int:
        """Keep the definition under the first free number, counting from `version`.

        A number may be taken by a definition whose workflow was never stored,
        after a crash between the two writes or a race that somebody else won.
        """
        for number in range(version, version + _ATTEMPTS):
            if await self.workflows.add_version(tenant, definition, number):
                return number
        raise _contended(definition.workflow_id)

    async def _switched(self, current: Workflow, *, enabled: bool) -> Workflow:
        now = self.clock.now()
        if not enabled:
            return workflows.disable(current, now)
        changed, unserved = workflows.enable(current, now)
        for due, missed in unserved:
            fires = await self._record_missed(due, missed, SkipReason.DISABLED, now)
            changed = workflows.count_fires(changed, due.trigger_id, fires)
        return changed

    async def _record_superseded(
        self, current: Workflow, definition: WorkflowDefinition, now: datetime
    ) -> None:
        """Record the overdue instants of triggers that are about to be replaced."""
        reason = SkipReason.SUPERSEDED if current.enabled else SkipReason.DISABLED
        for due, missed in superseded(current, definition, now):
            await self._record_missed(due, missed, reason, now)

    async def _record_missed(
        self, due: DueWorkflow, missed: Missed, why: SkipReason, now: datetime
    ) -> int:
        """Record what nothing ran for, behind what is on record already.

        Its first instants may be: fired just before, or recorded by a call that crashed.
        Returns how many had fired, which nobody may have counted yet.
        """
        rest: Missed | None = missed
        fires = 0
        while rest and fires != due.runs_left:
            reason = Skip(why, rest.first, rest.last, rest.count)
            record = skipped_occurrence(due, reason, now, self.timing)
            (outcome,) = await self.executions.add([record])
            if outcome is AddOutcome.ADDED:
                return fires
            there = await self.executions.get(due.tenant, record.id)
            fires += there is None or there.skip is None
            until = recorded_until(there, rest.first)
            rest = missed_after(due.timetable, until, rest.last)
        return fires

    def _announce(self, workflow: Workflow) -> None:
        if workflow.enabled and workflow.next_run_at is not None:
            notice = WorkflowChanged(workflow.tenant, workflow.id, workflow.next_run_at)
            self.announce(notice)


def _is_same(one: WorkflowDefinition, other: WorkflowDefinition) -> bool:
    """Compare as JSON: the order of members means nothing, and true is not 1."""
    return fingerprint(normalised(one)) == fingerprint(normalised(other))


def _with_id(document: JsonValue, workflow_id: str) -> JsonValue:
    if not isinstance(document, dict):
        return document
    if document.get("workflowId", workflow_id) != workflow_id:
        raise InvalidInput([FieldProblem("/workflowId", f"must be '{workflow_id}', as in the URL")])
    return {**document, "workflowId": workflow_id}


def _check_version(current: Workflow, if_match: int | None) -> None:
    if if_match is not None and current.version != if_match:
        raise VersionMismatch(current.id, current.version)


def _contended(workflow_id: str) -> Conflict:
    return Conflict(f"Workflow '{workflow_id}' is being changed by others at once; try again.")
