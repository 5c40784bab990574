"""Whole lives of executions, at random: whatever happens in whatever order, these things hold."""

from collections import Counter
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shared.domain import progress, transitions
from shared.domain.definition import ActionDefinition
from shared.domain.execution import UNFINISHED, ErrorCategory, EventType, Execution, Status
from shared.domain.progress import Attempt, Failed, Succeeded, Timing
from tests.support.builders import NOW, SECOND, definition, lease, queued

TIMING = Timing(max_recoveries=2)
CATEGORIES = st.sampled_from([ErrorCategory.RETRYABLE, ErrorCategory.PERMANENT])
SPREADS = st.floats(0, 1, exclude_max=True)


class Life(RuleBasedStateMachine):
    """One execution of a few actions, its runners, its user, and the passing of time."""

    execution: Execution
    retries: list[int]

    @initialize(retries=st.lists(st.integers(0, 3), min_size=1, max_size=3))
    def begin(self, retries: list[int]) -> None:
        self.now = NOW
        self.tokens = 0
        self.called: Counter[str] = Counter()
        self.retries = retries
        actions = [
            {"id": f"a{n}", "type": "log", "message": "x", "retry": {"retries": allowed}}
            for n, allowed in enumerate(retries)
        ]
        self.definition = definition(actions=actions)
        self.execution = queued(retries_left=progress.initial_retries(self.definition))

    def _is(self, *statuses: Status) -> bool:
        return self.execution.status in statuses

    @rule(seconds=st.integers(0, 400))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule()
    def a_runner_asks_for_it(self) -> None:
        if not transitions.is_claimable(self.execution, self.now):
            return
        self.tokens += 1
        held = lease(f"t{self.tokens}", until=self.now + TIMING.lease)
        self.execution = transitions.claim(self.execution, held, self.now)
        if progress.is_lost(self.execution, TIMING):
            self.execution = progress.give_up(self.execution, self.now, TIMING)

    def _act(self, outcome: Succeeded | Failed, spread: float) -> ActionDefinition:
        action = progress.next_action(self.definition, self.execution)
        assert action is not None, "nothing is left to do, and yet it runs"
        self.called[action.key] += 1
        attempt = Attempt(action, self.now, self.now, outcome)
        self.execution = progress.after_attempt(
            self.definition, self.execution, attempt, spread, TIMING
        )
        return action

    @precondition(lambda self: self._is(Status.RUNNING))
    @rule()
    def its_action_succeeds(self) -> None:
        action = self._act(Succeeded("done"), 0)
        assert self.execution.is_completed(action.key)

    @precondition(lambda self: self._is(Status.RUNNING))
    @rule(category=CATEGORIES, spread=SPREADS, wait=st.none() | st.integers(0, 90))
    def its_action_fails(self, category: ErrorCategory, spread: float, wait: int | None) -> None:
        left = self.execution.retries_left
        retry_after = None if wait is None else timedelta(seconds=wait)
        self._act(Failed(category, "no", retry_after), spread)
        retried = category is ErrorCategory.RETRYABLE and left > 0
        assert self.execution.status is (Status.PENDING if retried else Status.FAILED)
        if retried and retry_after is not None:
            assert self.execution.next_attempt_at is not None
            assert self.execution.next_attempt_at >= self.now + retry_after

    @precondition(lambda self: self._is(Status.RUNNING))
    @rule()
    def its_runner_stops(self) -> None:
        self.execution = transitions.release(self.execution, self.now)

    @precondition(lambda self: self.execution.status in UNFINISHED)
    @rule(chance=st.integers(0, 5))
    def its_user_cancels(self, chance: int) -> None:
        if chance == 0:
            self.execution = transitions.cancel(self.execution, self.now, TIMING.retention)

    @invariant()
    def something_would_wake_it_until_it_ends(self) -> None:
        unfinished = self.execution.status in UNFINISHED
        assert (self.execution.wake_at is not None) is unfinished
        assert (self.execution.active_key is not None) is unfinished
        assert (self.execution.finished_at is None) is unfinished
        assert (self.execution.expires_at is None) is unfinished

    @invariant()
    def each_status_has_what_it_needs_and_no_more(self) -> None:
        assert (self.execution.lease is not None) is self._is(Status.RUNNING)
        assert (self.execution.next_attempt_at is not None) is self._is(Status.PENDING)
        assert self.execution.retries_left >= 0

    @invariant()
    def the_history_tells_it_all_in_order(self) -> None:
        history = self.execution.history
        assert [event.seq for event in history] == list(range(1, self.execution.seq + 1))
        assert [event.at for event in history] == sorted(event.at for event in history)
        done = [e.action for e in history if e.type is EventType.ACTION_COMPLETED]
        assert done == [f"a{n}" for n in range(len(done))]

    @invariant()
    def no_action_is_called_more_often_than_its_policy_allows(self) -> None:
        for number, allowed in enumerate(self.retries):
            assert self.called[f"a{number}"] <= allowed + 1

    @invariant()
    def it_completes_only_with_every_action_done(self) -> None:
        actions = self.definition.actions
        all_done = all(self.execution.is_completed(a.key) for a in actions)
        assert self._is(Status.COMPLETED) is all_done


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
