"""Creating, changing and removing workflows."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from pydantic import JsonValue

from shared.domain import pausing
from shared.domain import workflow as workflows
from shared.domain.catalogue import ActionCatalogue, normalised
from shared.domain.data_flow import check_data_flow
from shared.domain.definition import WorkflowDefinition
from shared.domain.due import DueWorkflow, Unserved, move_behind, without_passed
from shared.domain.errors import (
    Conflict,
    FieldProblem,
    InvalidInput,
    NotFound,
    VersionMismatch,
    WorkflowDisabled,
    WorkflowExists,
)
from shared.domain.execution import Skip, SkipReason
from shared.domain.identity import fingerprint
from shared.domain.outcomes import Timing
from shared.domain.pause import Pause
from shared.domain.rescheduling import enable, redefine, reschedules, superseded
from shared.domain.schedule import Missed
from shared.domain.workflow import Workflow
from shared.ports.bus import WorkflowChanged
from shared.ports.clock import Clock
from shared.ports.executions import ExecutionRepository
from shared.ports.expressions import ExpressionLanguage
from shared.ports.inputs import InputValidator
from shared.ports.workflows import WorkflowRepository
from workflows_svc.use_cases.skipping import Recorded, RecordSkipped

_ATTEMPTS: Final = 20


def _uncounted(_: Skip) -> None:
    """Count nothing, where nobody reads metrics."""


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
    count_skipped: Callable[[Skip], None] = _uncounted

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
            created = workflows.create(tenant, definition, version, self.clock.now(), existing)
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
            settled = await self._without_superseded(current, definition, now)
            changed = redefine(settled, definition, version, now)
            if await self.workflows.save(current, changed):
                if reschedules(current, changed):
                    self._announce(changed)
                return changed
        raise _contended(workflow_id)

    async def set_enabled(
        self, tenant: str, workflow_id: str, *, enabled: bool, if_match: int | None
    ) -> Workflow:
        """Switch a workflow on or off; what it missed while off is recorded as skipped.

        One that is paused is resumed, or no longer paused but off.
        """
        for _ in range(_ATTEMPTS):
            current = await self.get(tenant, workflow_id)
            _check_version(current, if_match)
            if current.enabled == enabled and not current.paused:
                return current
            changed = await self._switched(current, enabled=enabled)
            if await self.workflows.save(current, changed):
                self._announce(changed)
                return changed
        raise _contended(workflow_id)

    async def pause(self, tenant: str, workflow_id: str, reason: str) -> Workflow:
        """Halt a workflow's schedule; one that is paused stays as it is.

        Raises NotFound, or WorkflowDisabled if there is nothing to halt.
        """
        for _ in range(_ATTEMPTS):
            current = await self.get(tenant, workflow_id)
            if current.paused:
                return current
            if not current.enabled:
                raise WorkflowDisabled(current.id)
            changed = pausing.pause(current, Pause(self.clock.now(), reason))
            if await self.workflows.save(current, changed):
                return changed
        raise _contended(workflow_id)

    async def resume(self, tenant: str, workflow_id: str) -> Workflow:
        """Let a paused workflow's schedule go on; one that is enabled stays as it is.

        What passed meanwhile is fired or recorded as skipped, as its trigger says.
        Raises NotFound, or WorkflowDisabled if it is not paused but switched off.
        """
        for _ in range(_ATTEMPTS):
            current = await self.get(tenant, workflow_id)
            if current.enabled:
                return current
            if current.paused is None:
                raise WorkflowDisabled(current.id)
            changed = await self._unpaused(current, pausing.resume, self.clock.now())
            if await self.workflows.save(current, changed):
                self._announce(changed)
                return changed
        raise _contended(workflow_id)

    async def delete(self, tenant: str, workflow_id: str, if_match: int | None) -> Workflow:
        """Remove a workflow: no further fires; its history stays. Raises NotFound.

        What was due, and nobody had fired yet, is recorded as skipped.
        """
        for _ in range(_ATTEMPTS):
            current = await self.get(tenant, workflow_id)
            _check_version(current, if_match)
            now = self.clock.now()
            behind, unserved = without_passed(current, now)
            await self._recorded(current, behind, unserved, _why_superseded(current), now)
            if await self.workflows.save(current, workflows.delete(current, now)):
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
        if current.paused:
            change = pausing.resume if enabled else pausing.give_up
            return await self._unpaused(current, change, now)
        if not enabled:
            return workflows.disable(current, now)
        changed, unserved = enable(current, now)
        return await self._recorded(current, changed, unserved, SkipReason.DISABLED, now)

    async def _unpaused(
        self,
        current: Workflow,
        change: Callable[[Workflow, datetime], tuple[Workflow, list[Unserved]]],
        now: datetime,
    ) -> Workflow:
        changed, unserved = change(current, now)
        return await self._recorded(current, changed, unserved, SkipReason.PAUSED, now)

    async def _recorded(
        self,
        current: Workflow,
        changed: Workflow,
        unserved: Sequence[Unserved],
        why: SkipReason,
        now: datetime,
    ) -> Workflow:
        """Record what nothing ran for; return the workflow behind the records that there are.

        Those may reach further than what passed, and there may be fires to count among them.
        """
        reached: dict[str, datetime] = {}
        for each, missed in unserved:
            name = each.trigger_id
            due = replace(each, runs=changed.runs.get(name, 0))
            found = await self._record(current, due, missed, why, now, reached.get(name))
            reached[name] = found.until
            changed = move_behind(changed, due, found.until)
            changed = workflows.count_fires(changed, name, found.fires)
        return changed

    async def _without_superseded(
        self, current: Workflow, definition: WorkflowDefinition, now: datetime
    ) -> Workflow:
        """Record the overdue instants that are about to be replaced; return what is behind them."""
        unserved = superseded(current, definition, now)
        return await self._recorded(current, current, unserved, _why_superseded(current), now)

    async def _record(
        self,
        current: Workflow,
        due: DueWorkflow,
        missed: Missed,
        why: SkipReason,
        now: datetime,
        behind: datetime | None = None,
    ) -> Recorded:
        reason = missed.why(why)
        paused = current.paused if reason is SkipReason.PAUSED else None
        skip = Skip(reason, missed.first, missed.last, missed.count, paused)
        found = await RecordSkipped(self.executions, self.timing)(due, skip, now, behind)
        if found.skip:
            self.count_skipped(found.skip)
        return found

    def _announce(self, workflow: Workflow) -> None:
        if workflow.enabled and workflow.next_run_at is not None:
            notice = WorkflowChanged(workflow.tenant, workflow.id, workflow.next_run_at)
            self.announce(notice)


def _is_same(one: WorkflowDefinition, other: WorkflowDefinition) -> bool:
    """Compare as JSON: the order of members means nothing, and true is not 1."""
    return fingerprint(normalised(one)) == fingerprint(normalised(other))


def _why_superseded(workflow: Workflow) -> SkipReason:
    if workflow.paused:
        return SkipReason.PAUSED
    return SkipReason.SUPERSEDED if workflow.enabled else SkipReason.DISABLED


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
