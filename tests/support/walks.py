"""Walks through the engine at random: outcomes, crashes, claims and commands in any order.

The numbers are drawn from seeds, so that the same code always gives the same walks.
"""

from collections.abc import Iterator
from datetime import timedelta
from random import Random
from typing import Final, NamedTuple

from shared.domain import engine, operations, transitions
from shared.domain.errors import Conflict
from shared.domain.execution import (
    UNFINISHED,
    ActionStatus,
    ErrorCategory,
    EventType,
    Execution,
    Status,
)
from shared.domain.fold import born
from shared.domain.landing import after_call
from shared.domain.operations import Repeat, Resolution
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
from tests.support.builders import NOW, definition, lease, queued

WALKS: Final = 400
STEPS: Final = 80
MINUTE: Final = timedelta(minutes=1)
TIMING: Final = Timing(max_recoveries=3)
_RETRY: Final = {"retries": 1, "backoff": {"initial": "3m"}}
_LOG: Final = {"type": "log", "message": "x", "retry": _RETRY}
PLAN: Final = Plan(
    definition(
        actions=[
            {**_LOG, "id": "a", "compensate": [{**_LOG, "id": "undo-a"}, {**_LOG, "id": "undo-2"}]},
            {**_LOG, "id": "b", "needs": ["a"], "forEach": {"items": [1, 2]}},
            {**_LOG, "id": "c", "needs": ["a"], "onError": "compensate"},
            {**_LOG, "id": "d", "needs": ["c"], "onError": "continue"},
            {**_LOG, "id": "e", "needs": ["b", "d"], "runIf": "failure"},
        ]
    )
)


class Step(NamedTuple):
    """What an event did to an action; None where there was none, or is none any more."""

    event: EventType
    before: ActionStatus | None
    after: ActionStatus | None


def steps_of_actions() -> set[Step]:
    """Return every step that an action was seen to take."""
    found: set[Step] = set()
    for seed in range(WALKS):
        rng = Random(seed)
        for execution in _life(rng):
            found.update(_steps(execution))
    return found


def _life(rng: Random) -> Iterator[Execution]:
    """Yield an execution after as much life as a walk gives it, and a replay of it."""
    walk = _Walk(rng)
    for _ in range(STEPS):
        if not walk.goes_on():
            break
    yield walk.execution
    action = rng.choice(list(PLAN.actions))
    yield operations.repeat(PLAN, walk.execution, Repeat("again", None, action), walk.now, TIMING)


def _steps(execution: Execution) -> Iterator[Step]:
    state = born(execution)
    for event in execution.history[1:]:
        after = transitions.apply(state, event)
        for key in state.actions.keys() | after.actions.keys():
            old, new = state.actions.get(key), after.actions.get(key)
            if old is not new:
                yield Step(event.type, old and old.status, new and new.status)
        state = after


class _Walk:
    """One execution, the calls under way, and time that passes."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.now = NOW
        self.execution = queued()
        self.in_flight: dict[str, Call] = {}

    def goes_on(self) -> bool:
        """Let something happen; tell whether anything more may."""
        self.now += MINUTE
        execution = self.execution
        if execution.status in UNFINISHED and self.rng.random() < 0.05:
            return self._cancel()
        if execution.status is Status.RUNNING:
            self._run()
        elif execution.status in UNFINISHED:
            self._wake()
        elif execution.status is Status.FAILED and self.rng.random() < 0.5:
            return self._retry()
        else:
            return False
        return True

    def _cancel(self) -> bool:
        try:
            self.execution = operations.cancel(PLAN, self.execution, self.now, TIMING)
        except Conflict:
            return True
        self.in_flight.clear()
        return True

    def _retry(self) -> bool:
        try:
            self.execution = operations.retry(PLAN, self.execution, self.now)
        except Conflict:
            return False
        return True

    def _wake(self) -> None:
        """Answer what is unknown, or else let a runner claim it when it may."""
        unknown = [k for k, s in self.execution.actions.items() if s.status is ActionStatus.UNKNOWN]
        if unknown and self.rng.random() < 0.7:
            key, answer = self.rng.choice(unknown), self.rng.choice(list(Resolution))
            self.execution = operations.resolve(PLAN, self.execution, key, answer, "said", self.now)
            return
        self.now = max(self.now, self.execution.next_attempt_at or self.now)
        self._claim()

    def _claim(self) -> None:
        held = lease(until=self.now + TIMING.lease)
        self.execution = transitions.claim(self.execution, held, self.now)
        if engine.is_lost(self.execution, TIMING):
            self.execution = engine.give_up(PLAN, self.execution, self.now, TIMING)

    def _run(self) -> None:
        if self.rng.random() < 0.15:
            self.in_flight.clear()
            self._claim()  # after a crash
            return
        self.execution = engine.advance(
            PLAN, self.execution, self.in_flight.keys(), self.now, TIMING
        )
        if self.execution.status is Status.RUNNING:
            self._start(engine.next_calls(PLAN, self.execution, self.in_flight.keys(), self.now))

    def _start(self, calls: list[Call]) -> None:
        if not calls and not self.in_flight:
            self.execution = engine.suspend(PLAN, self.execution, self.now)
            return
        for call in calls:
            if not call.expands and self.rng.random() < 0.5:
                self.execution = transitions.start_action(self.execution, call.key, self.now)
            self.in_flight[call.key] = call
        call = self.in_flight.pop(self.rng.choice(list(self.in_flight)))
        attempt = Attempt(call, self.now, self.now, self._outcome(call))
        self.execution = after_call(PLAN, self.execution, attempt, spread=0.5)

    def _outcome(self, call: Call) -> Outcome:
        if call.expands:
            expanding: list[Outcome] = [Expanded(2), NotWanted(), Failed(_PERMANENT, "no")]
            return self.rng.choice(expanding)
        outcomes: list[Outcome] = [
            *[Succeeded("done")] * 4,
            Failed(ErrorCategory.RECOVERABLE, "later"),
            Failed(_PERMANENT, "no"),
            WaitsUntil(self.now + self.rng.choice([1, 10]) * MINUTE),
            Uncertain("who knows"),
        ]
        if call.attempt == 1 and call.index is None and call.key not in PLAN.parents:
            outcomes.append(NotWanted())
        return self.rng.choice(outcomes)


_PERMANENT: Final = ErrorCategory.PERMANENT
