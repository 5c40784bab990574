"""One execution, and everything that can happen to it: the engine decides, the world only obeys.

There are runners that claim, crash and stop, a user who cancels, answers and retries, and
time that passes. What happens is drawn from a seed, so the same seed gives the same life.
"""

from collections import Counter
from datetime import datetime, timedelta
from random import Random
from typing import Final

from shared.domain import engine, operations, transitions
from shared.domain.definition import WorkflowDefinition
from shared.domain.errors import Conflict
from shared.domain.execution import (
    UNFINISHED,
    ActionStatus,
    ErrorCategory,
    EventType,
    Execution,
    Status,
)
from shared.domain.fold import differences
from shared.domain.landing import after_call
from shared.domain.operations import Resolution
from shared.domain.outcomes import (
    Attempt,
    Call,
    Expanded,
    Failed,
    NotWanted,
    Outcome,
    Succeeded,
    Timing,
    Uncertain,
    WaitsUntil,
)
from shared.domain.plan import Plan
from tests.support.builders import NOW, SECOND, lease, queued

TIMING: Final = Timing(max_recoveries=3)


class World:
    """One execution and everything that can happen to it."""

    def __init__(self, graph: WorkflowDefinition, seed: int) -> None:
        self.random = Random(seed)
        self.plan = Plan(graph)
        self.now: datetime = NOW
        self.tokens = 0
        self.in_flight: dict[str, Call] = {}
        self.succeeded: Counter[str] = Counter()
        self.execution: Execution = queued(
            retries_left=graph.retry_policy(graph.actions[0]).retries,
            deadline=NOW + graph.timeout if graph.timeout else None,
        )
        born = transitions.queue(self.execution.evolve(history=(), seq=0), NOW)
        self.execution = born
        keys = [*self.plan.actions, *self.plan.parents]
        self.at_most_once = {key for key in keys if self.random.random() < 0.2}

    def live(self, steps: int) -> None:
        """Let anything happen, so many times; then only what a healthy platform does."""
        for _ in range(steps):
            self.random.choice(
                (self.pass_time, self.claim, self.claim, self.crash, self.stop, self.cancel)
                + (self.land, self.work) * 4
                + (self.answer,)
            )()
            self.check()
        for _ in range(400):
            if self.execution.status not in UNFINISHED:
                break
            self.pass_time()
            self.answer()
            self.claim()
            self.work()
            self.land()
            self.check()
        assert self.execution.status not in UNFINISHED, "it never ends"

    def pass_time(self) -> None:
        self.now += self.random.choice((1, 5, 60)) * SECOND

    def claim(self) -> None:
        """A request is delivered, perhaps once more than needed."""
        if not transitions.is_claimable(self.execution, self.now):
            return
        self.in_flight.clear()
        self.tokens += 1
        held = lease(f"t{self.tokens}", until=self.now + TIMING.lease)
        self.execution = transitions.claim(self.execution, held, self.now)
        if engine.is_lost(self.execution, TIMING):
            self.execution = engine.give_up(self.plan, self.execution, self.now, TIMING)

    def work(self) -> None:
        """What a runner does between two landings."""
        if self.execution.status is not Status.RUNNING:
            return
        if self.execution.deadline and self.now >= self.execution.deadline:
            self.in_flight.clear()
        state = engine.advance(self.plan, self.execution, self.in_flight.keys(), self.now, TIMING)
        calls = engine.next_calls(self.plan, state, self.in_flight.keys(), self.now)
        assert len(calls) + len(self.in_flight) <= max(self.plan.concurrency, 1)
        for call in calls:
            assert not self.succeeded[call.key], "an action runs again after its success"
            if call.action.key in self.at_most_once and not call.expands:
                state = transitions.start_action(state, call.key, self.now)
        if state.status is Status.RUNNING and not calls and not self.in_flight:
            state = engine.suspend(self.plan, state, self.now)
        self.execution = state
        self.in_flight |= {call.key: call for call in calls}

    def land(self) -> None:
        """One call, or several at once, come to their end."""
        for key in list(self.in_flight)[: self.random.randint(0, 2)]:
            call = self.in_flight.pop(key)
            outcome = self.outcome(call)
            if isinstance(outcome, Succeeded):
                self.succeeded[key] += 1
            attempt = Attempt(call, self.now, self.now, outcome)
            self.execution = after_call(self.plan, self.execution, attempt, self.random.random())

    def outcome(self, call: Call) -> Outcome:
        first = call.attempt == 1 and call.index is None
        if first and call.action.when and self.random.random() < 0.3:
            return NotWanted()
        if call.expands:
            return self.items(call)
        chance = self.random.random()
        if chance < 0.6:
            return Succeeded({"call": call.key})
        if chance < 0.7:
            return WaitsUntil(self.now + self.random.randint(0, 90) * SECOND)
        if chance < 0.75 and call.action.key in self.at_most_once:
            return Uncertain("who knows")
        categories = list(ErrorCategory)[:4]
        return Failed(self.random.choice(categories), "no", timedelta(seconds=1))

    def items(self, call: Call) -> Outcome:
        """Find out the items of a forEach, which may turn out to be no list."""
        if self.random.random() < 0.1 or call.action.for_each is None:
            return Failed(ErrorCategory.PERMANENT, "no list")
        return Expanded(len(call.action.for_each.items))

    def crash(self) -> None:
        """The runner is gone, with all it was doing; its lease runs out."""
        self.in_flight.clear()
        if self.execution.lease is not None:
            self.now = max(self.now, self.execution.lease.until)

    def stop(self) -> None:
        if self.execution.status is Status.RUNNING and self.random.random() < 0.3:
            self.in_flight.clear()
            state = engine.advance(self.plan, self.execution, (), self.now, TIMING)
            if state.status is Status.RUNNING:
                state = transitions.release(state, self.now)
            self.execution = state

    def cancel(self) -> None:
        if self.execution.status in UNFINISHED and self.random.random() < 0.1:
            try:
                self.execution = operations.cancel(self.plan, self.execution, self.now, TIMING)
            except Conflict:
                assert self.execution.ending is not None
                return
            self.in_flight.clear()

    def retry(self) -> bool:
        """Retry it if it failed and was not undone; tell whether it goes on."""
        try:
            self.execution = operations.retry(self.plan, self.execution, self.now)
        except Conflict:
            return False
        return True

    def answer(self) -> None:
        unknown = [
            key
            for key, state in self.execution.actions.items()
            if state.status is ActionStatus.UNKNOWN
        ]
        if not unknown or self.execution.status not in UNFINISHED:
            return
        key, resolution = unknown[0], self.random.choice(list(Resolution))
        try:
            self.execution = operations.resolve(
                self.plan, self.execution, key, resolution, "said", self.now
            )
        except Conflict:
            assert self.execution.status is Status.RUNNING
            return
        if resolution is Resolution.HAPPENED:
            self.succeeded[key] += 1

    def check(self) -> None:
        """What holds after every step."""
        execution = self.execution
        unfinished = execution.status in UNFINISHED
        assert (execution.wake_at is not None) is unfinished
        assert (execution.active_key is not None) is unfinished
        assert (execution.finished_at is None) is unfinished
        assert (execution.lease is not None) is (execution.status is Status.RUNNING)
        suspended = execution.status in {Status.PENDING, Status.WAITING}
        assert (execution.next_attempt_at is not None) is suspended
        assert execution.retries_left >= 0
        assert len(execution.history) == execution.seq == execution.history[-1].seq
        if self.random.random() < 0.1:
            assert differences(execution) == []

    def check_end(self) -> None:
        """What holds once it is over."""
        execution, states = self.execution, self.execution.actions
        assert differences(execution) == []
        history = Counter(
            e.action for e in execution.history if e.type is EventType.ACTION_COMPLETED
        )
        assert all(count == 1 for count in history.values())
        if execution.status is Status.COMPLETED:
            assert all(states[key].ended for key in self.plan.actions)
            assert not any(states[key].blocks for key in self.plan.actions)
            assert not any(undo in states for undo in self.plan.parents)
