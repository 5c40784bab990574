"""Running one claimed execution: call after call, each outcome recorded before what needs it."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

import structlog

from runner_svc.metrics import RunnerMetrics
from runner_svc.use_cases.call import Items, MakeCall
from runner_svc.use_cases.flights import Flights
from runner_svc.use_cases.holding import Holding
from runner_svc.use_cases.recorder import Recorder
from shared.domain import engine, transitions
from shared.domain.catalogue import Effect
from shared.domain.errors import Unavailable
from shared.domain.execution import UNFINISHED, ErrorCategory, Execution, Failure, Status
from shared.domain.landing import after_call
from shared.domain.outcomes import Attempt, Call, Failed, Succeeded, Timing
from shared.domain.plan import Plan, is_waited_for
from shared.ports.bus import ExecutionRequest, ExecutionWakes, WorkflowFreed
from shared.ports.clock import Clock
from shared.ports.executions import Change, RecordOutcome

log = structlog.get_logger(__name__)
MARGIN: Final = timedelta(seconds=1)
"""So long before the end of its lease a runner starts no further action."""

_NOT_STORABLE: Final = Failed(
    ErrorCategory.OUTPUT_UNSERIALISABLE, "the database cannot hold the output"
)


_MOST_UNRECORDED: Final = 50
_LONGEST_UNRECORDED: Final = timedelta(milliseconds=50)
"""So much work of pure actions may be lost, and done again, when a runner dies."""


@dataclass(slots=True)
class Journey:
    """How far an execution has come here: its state, and what of it is not recorded yet.

    One that `is_due` waited here for its instant, which has come.
    """

    state: Execution
    is_due: bool = False
    landed: Sequence[Attempt] = ()
    unrecorded: list[Attempt] = field(default_factory=list)
    items: Items = field(default_factory=dict)

    def put_off(self, state: Execution) -> None:
        """Note what landed, to be recorded with what follows."""
        self.state = state
        self.unrecorded += self.landed

    def arrive(self, recorded: Execution) -> None:
        """Note that all is recorded."""
        self.state = recorded
        self.unrecorded.clear()

    @property
    def first(self) -> Attempt:
        """The first call that is not recorded, when one has landed."""
        return self.unrecorded[0] if self.unrecorded else self.landed[0]


@dataclass(frozen=True, slots=True)
class RunExecution:
    """Takes a claimed execution as far as it goes: to its end, a wait, or back to the queue."""

    make_call: MakeCall
    recorder: Recorder
    clock: Clock
    timing: Timing
    metrics: RunnerMetrics
    spread: Callable[[], float]
    is_stopping: Callable[[], bool]
    announce: Callable[[ExecutionWakes | WorkflowFreed], None]
    request: Callable[[ExecutionRequest], None]

    async def __call__(self, holding: Holding, plan: Plan | None) -> None:
        """Run what is held. Aborting the task ends it; what was recorded stays."""
        flights = Flights(self.clock)
        holding.waited_for = is_waited_for(plan, holding.execution)
        try:
            await self._run(holding, plan, flights)
        except asyncio.CancelledError:
            await flights.abort()
            if self.is_stopping():
                with suppress(Unavailable):
                    await self._release(holding, plan)
            raise
        except Unavailable as error:
            log.warning("execution.unrecorded", executionId=holding.execution.id, why=error.reason)
        except Exception:
            # A bug here must not take other executions down; the lease runs out and it is retried.
            log.exception("execution.abandoned", executionId=holding.execution.id)
        finally:
            await flights.abort()

    async def _run(self, holding: Holding, plan: Plan | None, flights: Flights) -> None:
        if plan is None or engine.is_lost(holding.execution, self.timing):
            given_up = self._given_up(holding.execution, plan)
            if await self._record(holding, given_up) is not RecordOutcome.APPLIED or plan is None:
                return
        among_many = await self._waits_for_instant(holding.execution)
        journey = Journey(holding.execution, is_due=among_many)
        while holding.execution.status is Status.RUNNING:
            calls = await self._decide(holding, plan, flights, journey)
            if calls is None or holding.execution.status is not Status.RUNNING:
                return
            journey.is_due = False
            until = engine.next_instant(journey.state, self.clock.now())
            if len(calls) == 1 and not flights.keys and until is None:
                # Nothing else can happen meanwhile, so no task is needed: half of the time.
                journey.landed = [
                    await self.make_call(plan, journey.state, calls[0], journey.items)
                ]
                if among_many:
                    # Others begin at the same instant: they do, before this one goes on.
                    among_many = False
                    await asyncio.sleep(0)
                continue
            for call in calls:
                flights.start(call.key, self.make_call(plan, journey.state, call, journey.items))
            journey.landed = await flights.landed(until)

    async def _waits_for_instant(self, execution: Execution) -> bool:
        """Wait for the instant of an execution that was claimed ahead of it; False for others."""
        instant = execution.scheduled_for
        if instant is None or instant <= self.clock.now():
            return False
        await self.clock.sleep_until(instant)
        return True

    async def _decide(
        self, holding: Holding, plan: Plan, flights: Flights, journey: "Journey"
    ) -> list[Call] | None:
        """Record what landed and all that follows; return the next calls, None if it is lost."""
        deadline = holding.execution.deadline if holding.execution.ending is None else None
        if flights.keys and deadline is not None and self.clock.now() >= deadline:
            await flights.abort()
        spread = self.spread() if journey.landed else 0
        after, calls = self._next_state(
            journey.state, plan, flights, journey.landed, spread, journey
        )
        if self._may_record_later(after, calls, flights, journey):
            journey.put_off(after)
        elif after is not holding.execution:
            outcome = await self._record(holding, after)
            if outcome is RecordOutcome.UNSERIALISABLE:
                outcome, calls = await self._record_failures(holding, plan, flights, journey)
            if outcome is not RecordOutcome.APPLIED:
                return None
            journey.arrive(holding.execution)
        if calls and self._ends_soon(holding.lease_until - self.clock.now()):
            self.metrics.leases_lost.inc()
            return None
        return calls

    def _may_record_later(
        self, after: Execution, calls: Sequence[Call], flights: Flights, journey: "Journey"
    ) -> bool:
        """Tell whether what landed may be recorded together with what the next call leads to.

        Only where it would do no harm to make the calls again: where they are pure.
        """
        if len(calls) != 1 or flights.keys or not journey.landed or after.deadline is not None:
            return False
        effect = self.make_call.registry.effect
        if effect(calls[0].action) is not Effect.PURE:
            return False
        return (
            all(effect(attempt.call.action) is Effect.PURE for attempt in journey.landed)
            and len(journey.unrecorded) < _MOST_UNRECORDED
            and journey.landed[-1].ended_at - journey.first.started_at < _LONGEST_UNRECORDED
        )

    def _next_state(
        self,
        execution: Execution,
        plan: Plan,
        flights: Flights,
        landed: Sequence[Attempt],
        spread: float,
        journey: "Journey",
    ) -> tuple[Execution, list[Call]]:
        for attempt in landed:
            execution = after_call(plan, execution, attempt, spread)
        now = self.clock.now()
        execution = engine.advance(plan, execution, flights.keys, now, self.timing)
        if execution.status is not Status.RUNNING:
            return execution, []
        # Another runner would be late for what is due this very moment.
        if self.is_stopping() and not journey.is_due:
            let_go = execution if flights.keys else transitions.release(execution, now)
            return let_go, []
        calls = engine.next_calls(plan, execution, flights.keys, now)
        if not calls and not flights.keys:
            return engine.suspend(plan, execution, now), []
        return self._with_intents(plan, execution, calls, journey.items), calls

    def _with_intents(
        self, plan: Plan, execution: Execution, calls: Sequence[Call], items: Items
    ) -> Execution:
        """Note, before a call that must not be repeated, that it is about to be made."""
        for call in calls:
            if self.make_call.needs_intent(plan, execution, call, items):
                execution = transitions.start_action(execution, call.key, self.clock.now())
        return execution

    async def _record_failures(
        self, holding: Holding, plan: Plan, flights: Flights, journey: "Journey"
    ) -> tuple[RecordOutcome, list[Call]]:
        """Take the last outputs, which the database refused, for failures; if need be, fail all."""
        failed = [
            replace(attempt, outcome=_NOT_STORABLE)
            if isinstance(attempt.outcome, Succeeded)
            else attempt
            for attempt in journey.landed
        ]
        landed = [*journey.unrecorded, *failed]
        held = holding.execution
        after, calls = self._next_state(held, plan, flights, landed, 0, journey)
        outcome = await self._record(holding, after)
        if outcome is RecordOutcome.UNSERIALISABLE:
            failure = Failure(ErrorCategory.OUTPUT_UNSERIALISABLE, "the execution is too large")
            now = self.clock.now()
            ended = transitions.fail(holding.execution, failure, now, self.timing.retention)
            outcome, calls = await self._record(holding, ended), []
        return outcome, calls

    def _ends_soon(self, left: timedelta) -> bool:
        return left < MARGIN and left < self.timing.lease / 4

    def _given_up(self, execution: Execution, plan: Plan | None) -> Execution:
        now = self.clock.now()
        if plan is not None:
            return engine.give_up(plan, execution, now, self.timing)
        message = f"version {execution.version} of workflow '{execution.workflow_id}' is gone"
        failure = Failure(ErrorCategory.PERMANENT, message)
        return transitions.fail(execution, failure, now, self.timing.retention)

    async def _release(self, holding: Holding, plan: Plan | None) -> None:
        """Give an execution back, so that another runner need not wait for the lease to end."""
        now, execution = self.clock.now(), holding.execution
        if plan is not None:
            execution = engine.advance(plan, execution, (), now, self.timing)
        if execution.status is Status.RUNNING:
            execution = transitions.release(execution, now)
        await self._record(holding, execution)

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
            if holding.waited_for and after.status not in UNFINISHED:
                self.announce(WorkflowFreed(after.tenant, after.workflow_id))
        return outcome

    def _report(self, after: Execution) -> None:
        """Count and log what is now recorded."""
        if after.status is Status.QUEUED:
            self.request(
                ExecutionRequest(after.id, after.tenant, after.workflow_id, self.clock.now())
            )
        elif after.next_attempt_at is not None:
            self._report_wait(after, after.next_attempt_at)
        elif after.status not in UNFINISHED:
            self._report_end(after)

    def _report_wait(self, after: Execution, until: datetime) -> None:
        self.announce(ExecutionWakes(after.id, after.tenant, after.workflow_id, until))
        if after.status is Status.PENDING:
            self.metrics.retries.inc()
            log.info(
                "execution.retry_scheduled",
                workflowId=after.workflow_id,
                executionId=after.id,
                attempt=after.attempt,
                retriesLeft=after.retries_left,
                nextAttemptAt=until.isoformat(),
                error=after.error.message if after.error else None,
            )
        else:
            log.info(
                "execution.waiting",
                workflowId=after.workflow_id,
                executionId=after.id,
                until=until.isoformat(),
            )

    def _report_end(self, after: Execution) -> None:
        self.metrics.outcomes.labels(after.status.value).inc()
        late = after.lateness
        if late is not None and after.scheduled_for is not None and not after.is_backfill:
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
