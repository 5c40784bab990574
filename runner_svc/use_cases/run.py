"""Running one claimed execution: action after action, each outcome recorded before the next."""

import asyncio
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import structlog
from pydantic import JsonValue

from runner_svc.metrics import RunnerMetrics
from runner_svc.registry import ActionRegistry
from runner_svc.use_cases.holding import Holding
from runner_svc.use_cases.recorder import Recorder
from shared.domain import progress, transitions
from shared.domain.definition import ActionDefinition, WorkflowDefinition
from shared.domain.errors import Unavailable
from shared.domain.execution import UNFINISHED, ErrorCategory, Execution, Failure, Status
from shared.domain.progress import Attempt, Failed, Succeeded, Timing
from shared.domain.storable import output_limit, problem_with_output
from shared.ports.actions import ActionContext, ActionError
from shared.ports.bus import ExecutionRequest, ExecutionWakes
from shared.ports.clock import Clock
from shared.ports.executions import Change, RecordOutcome

log = structlog.get_logger(__name__)
MARGIN: Final = timedelta(seconds=1)
"""So long before the end of its lease a runner starts no further action."""


@dataclass(frozen=True, slots=True)
class RunExecution:
    """Takes a claimed execution as far as it goes: to its end, a backoff, or back to the queue."""

    registry: ActionRegistry
    recorder: Recorder
    clock: Clock
    timing: Timing
    metrics: RunnerMetrics
    spread: Callable[[], float]
    is_stopping: Callable[[], bool]
    announce: Callable[[ExecutionWakes], None]
    request: Callable[[ExecutionRequest], None]

    async def __call__(self, holding: Holding, definition: WorkflowDefinition | None) -> None:
        """Run what is held. Aborting the task ends it; what was recorded stays."""
        try:
            await self._run(holding, definition)
        except asyncio.CancelledError:
            if self.is_stopping():
                with suppress(Unavailable):
                    await self._release(holding)
            raise
        except Unavailable as error:
            log.warning("execution.unrecorded", executionId=holding.execution.id, why=error.reason)
        except Exception:
            # A bug here must not take other executions down; the lease runs out and it is retried.
            log.exception("execution.abandoned", executionId=holding.execution.id)

    async def _run(self, holding: Holding, definition: WorkflowDefinition | None) -> None:
        if definition is None or progress.is_lost(holding.execution, self.timing):
            await self._record(holding, self._given_up(holding.execution, definition))
            return
        mine = True
        while mine and holding.execution.status is Status.RUNNING:
            if self.is_stopping():
                await self._release(holding)
                return
            if self.clock.now() > holding.lease_until - self._margin:
                self.metrics.leases_lost.inc()
                return
            mine = await self._step(holding, definition)

    @property
    def _margin(self) -> timedelta:
        return min(MARGIN, self.timing.lease / 4)

    def _given_up(self, execution: Execution, definition: WorkflowDefinition | None) -> Execution:
        now = self.clock.now()
        if definition is not None:
            return progress.give_up(execution, now, self.timing)
        message = f"version {execution.version} of workflow '{execution.workflow_id}' is gone"
        failure = Failure(ErrorCategory.PERMANENT, message)
        return transitions.fail(execution, failure, now, self.timing.retention)

    async def _step(self, holding: Holding, definition: WorkflowDefinition) -> bool:
        """Run the next action and record its outcome; False if the execution is no longer ours."""
        before = holding.execution
        action = progress.next_action(definition, before)
        if action is None:
            done = transitions.complete(before, self.clock.now(), self.timing.retention)
            return await self._record(holding, done) is RecordOutcome.APPLIED
        attempt = await self._attempt(before, definition, action)
        after = progress.after_attempt(definition, before, attempt, self.spread(), self.timing)
        outcome = await self._record(holding, after)
        if outcome is RecordOutcome.UNSERIALISABLE:
            why = "the database cannot hold the output"
            failed = replace(attempt, outcome=Failed(ErrorCategory.OUTPUT_UNSERIALISABLE, why))
            after = progress.after_attempt(definition, before, failed, 0, self.timing)
            outcome = await self._record(holding, after)
        return outcome is RecordOutcome.APPLIED

    async def _attempt(
        self, execution: Execution, definition: WorkflowDefinition, action: ActionDefinition
    ) -> Attempt:
        started_at = self.clock.now()
        outcome = await self._outcome(execution, definition, action)
        return Attempt(action, started_at, self.clock.now(), outcome)

    async def _outcome(
        self, execution: Execution, definition: WorkflowDefinition, action: ActionDefinition
    ) -> Succeeded | Failed:
        try:
            output = await self._call(execution, action)
        except ActionError as error:
            category = ErrorCategory.RETRYABLE if error.retryable else ErrorCategory.PERMANENT
            return Failed(category, str(error), error.retry_after)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return Failed(ErrorCategory.RETRYABLE, "the action cancelled itself")
        except Exception as error:  # noqa: BLE001 - any bug of an action is that action's failure
            log.warning(
                "action.raised",
                executionId=execution.id,
                action=action.key,
                trace=traceback.format_exc(),
            )
            return Failed(ErrorCategory.RETRYABLE, f"{type(error).__name__}: {error}")
        problem = problem_with_output(output, output_limit(len(definition.actions)))
        if problem is not None:
            return Failed(ErrorCategory.OUTPUT_UNSERIALISABLE, problem)
        return Succeeded(output)

    async def _call(self, execution: Execution, action: ActionDefinition) -> JsonValue:
        context = ActionContext(
            tenant=execution.tenant,
            workflow_id=execution.workflow_id,
            execution_id=execution.id,
            action_id=action.key,
            attempt=execution.attempt,
            input=execution.input,
            idempotency_key=f"{execution.id}:{action.key}",
        )
        return await self.registry.handler(action)(action, context)

    async def _release(self, holding: Holding) -> None:
        """Give an execution back, so that another runner need not wait for the lease to end."""
        released = transitions.release(holding.execution, self.clock.now())
        if await self._record(holding, released) is RecordOutcome.APPLIED:
            self.request(
                ExecutionRequest(
                    released.id, released.tenant, released.workflow_id, self.clock.now()
                )
            )

    async def _record(self, holding: Holding, after: Execution) -> RecordOutcome:
        holding.recording = True
        try:
            outcome = await self.recorder.record(Change(holding.execution, after))
        finally:
            holding.recording = False
        if outcome is RecordOutcome.REFUSED:
            self.metrics.late_results.inc()
            log.warning("result.refused", executionId=after.id, status=after.status.value)
        elif outcome is RecordOutcome.APPLIED:
            holding.execution = after.evolve(history=())
            self._report(after)
        return outcome

    def _report(self, after: Execution) -> None:
        """Count and log what is now recorded."""
        if after.status is Status.PENDING and after.next_attempt_at is not None:
            self.metrics.retries.inc()
            self.announce(
                ExecutionWakes(after.id, after.tenant, after.workflow_id, after.next_attempt_at)
            )
            log.info(
                "execution.retry_scheduled",
                workflowId=after.workflow_id,
                executionId=after.id,
                attempt=after.attempt,
                retriesLeft=after.retries_left,
                nextAttemptAt=after.next_attempt_at.isoformat(),
                error=after.error.message if after.error else None,
            )
        elif after.status not in UNFINISHED:
            self._report_end(after)

    def _report_end(self, after: Execution) -> None:
        self.metrics.outcomes.labels(after.status.value).inc()
        late = after.lateness
        if late is not None and after.scheduled_for is not None:
            self.metrics.lateness.observe(late.total_seconds())
        failed = after.status is Status.FAILED
        write = log.warning if failed else log.info
        write(
            f"execution.{after.status.value}",
            workflowId=after.workflow_id,
            executionId=after.id,
            latenessMs=late // timedelta(milliseconds=1) if late is not None else None,
            **({"error": after.error.message} if failed and after.error else {}),
        )
