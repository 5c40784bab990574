"""What each transition does to an execution."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.domain import transitions
from shared.domain.execution import (
    UNFINISHED,
    ActionState,
    ActionStatus,
    ErrorCategory,
    EventType,
    Execution,
    Failure,
    HistoryEvent,
    Skip,
    SkipReason,
    Status,
)
from shared.domain.fate import attempt_due
from shared.domain.identity import digest
from tests.support.builders import NOW, SECOND, lease, queued, running

LATER = NOW + 7 * SECOND
RETENTION = timedelta(days=30)
FAILURE = Failure(ErrorCategory.RECOVERABLE, "HTTP 500")


def _in(status: Status) -> Execution:
    held = running(last_token="old") if status is Status.RUNNING else queued(last_token="old")
    backoff = NOW if status is Status.PENDING else None
    return replace(held, status=status, next_attempt_at=backoff)


@pytest.mark.parametrize(
    "after",
    [
        transitions.complete(running(next_attempt_at=NOW), LATER, RETENTION),
        transitions.fail(running(next_attempt_at=NOW), FAILURE, LATER, RETENTION),
        transitions.cancel(running(next_attempt_at=NOW), LATER, RETENTION),
    ],
    ids=["completed", "failed", "cancelled"],
)
def test_ending_lets_go_of_everything(after: Execution) -> None:
    assert (after.wake_at, after.active_key, after.lease, after.next_attempt_at) == (None,) * 4
    assert (after.finished_at, after.expires_at) == (LATER, LATER + RETENTION)
    assert after.last_token == "token"


@pytest.mark.parametrize("status", [Status.QUEUED, Status.PENDING, Status.WAITING])
def test_cancelling_what_no_runner_holds_lets_go_as_well(status: Status) -> None:
    after = transitions.cancel(_in(status), LATER, RETENTION)
    assert (after.wake_at, after.active_key, after.next_attempt_at) == (None,) * 3
    assert after.last_token == "old"
    assert after.error is None


def test_completing_forgets_the_error_and_failing_keeps_it() -> None:
    before = running(error=FAILURE)
    assert transitions.complete(before, LATER, RETENTION).error is None
    final = Failure(ErrorCategory.PERMANENT, "HTTP 404")
    after = transitions.fail(before, final, LATER, RETENTION)
    assert after.error == after.history[-1].error == final


@pytest.mark.parametrize(
    ("status", "event", "recoveries"),
    [
        (Status.QUEUED, EventType.CLAIMED, 2),
        (Status.PENDING, EventType.CLAIMED, 2),
        (Status.RUNNING, EventType.RECOVERED, 3),
    ],
)
def test_a_claim_hands_over_the_lease(status: Status, event: EventType, recoveries: int) -> None:
    before = replace(_in(status), resends=4, recoveries=2, started_at=None)
    taken = lease("new", "other", LATER + 30 * SECOND)
    after = transitions.claim(before, taken, LATER)
    assert (after.lease, after.wake_at, after.next_attempt_at) == (taken, taken.until, None)
    assert (after.resends, after.recoveries, after.started_at) == (0, recoveries, LATER)
    assert (after.history[-1].type, after.history[-1].runner) == (event, "other")
    assert after.active_key == before.active_key


def test_a_later_claim_keeps_the_first_start() -> None:
    assert transitions.claim(running(), lease("new"), LATER).started_at == NOW


@pytest.mark.parametrize(
    ("execution", "now", "claimable"),
    [
        (queued(wake_at=LATER), NOW, True),
        (replace(queued(), status=Status.PENDING, next_attempt_at=LATER), NOW, False),
        (replace(queued(), status=Status.PENDING, next_attempt_at=LATER), LATER, True),
        (replace(queued(), status=Status.PENDING), LATER, False),
        (running(lease=lease(until=LATER)), LATER - SECOND, False),
        (running(lease=lease(until=LATER)), LATER, True),
        (running(lease=None), LATER, False),
        *((_in(status), LATER, False) for status in Status if status not in UNFINISHED),
        (replace(queued(), status=Status.WAITING, next_attempt_at=LATER), LATER, True),
        (replace(queued(), status=Status.WAITING, next_attempt_at=LATER), NOW, False),
    ],
)
def test_what_may_be_claimed(execution: Execution, now: datetime, *, claimable: bool) -> None:
    assert transitions.is_claimable(execution, now) is claimable


def test_a_release_puts_the_execution_up_for_claim_at_once() -> None:
    after = transitions.release(running(recoveries=1), LATER)
    assert (after.status, after.lease, after.wake_at) == (Status.QUEUED, None, LATER)
    assert (after.last_token, after.recoveries) == ("token", 1)
    assert transitions.is_claimable(after, LATER)
    assert after.active_key == running().active_key


def test_a_backoff_ends_the_lease() -> None:
    after = transitions.suspend(running(), EventType.RETRY_SCHEDULED, LATER, NOW)
    assert after.next_attempt_at == after.wake_at == after.history[-1].next_attempt_at == LATER
    assert (after.status, after.lease, after.last_token) == (Status.PENDING, None, "token")


def test_a_completed_action_is_kept_with_its_output() -> None:
    after = transitions.complete_action(
        running(attempt=2, error=FAILURE),
        "a",
        attempt=2,
        started_at=NOW,
        output={"x": 1},
        now=LATER,
        retries_left=5,
    )
    assert after.actions["a"] == ActionState(
        ActionStatus.COMPLETED, 2, NOW, LATER, output={"x": 1}, ended_seq=3
    )
    assert after.is_completed("a")
    assert not after.is_completed("b")
    assert after.lease == running().lease
    assert (after.attempt, after.retries_left, after.error) == (1, 5, None)
    assert after.history[-1] == HistoryEvent(
        3,
        EventType.ACTION_COMPLETED,
        LATER,
        action="a",
        attempt=2,
        started_at=NOW,
        retries_left=5,
        output={"x": 1},
        digest=digest({"x": 1}),
    )


def test_a_failed_attempt_is_kept_with_its_error_and_its_retry() -> None:
    after = transitions.fail_action(
        running(),
        "a",
        FAILURE,
        LATER,
        attempt=1,
        started_at=NOW,
        next_attempt_at=LATER + SECOND,
        retries_left=2,
    )
    assert after.actions["a"] == ActionState(
        ActionStatus.PENDING, 1, NOW, LATER, error=FAILURE, next_attempt_at=LATER + SECOND
    )
    assert after.error == after.history[-1].error == FAILURE
    assert (after.attempt, after.retries_left) == (2, 2)
    assert not after.is_completed("a")


@pytest.mark.parametrize("tolerated", [False, True])
def test_a_final_failure_is_kept_with_its_error(*, tolerated: bool) -> None:
    after = transitions.fail_action(
        running(), "a", FAILURE, LATER, attempt=1, started_at=NOW, tolerated=tolerated
    )
    state = after.actions["a"]
    assert (state.status, state.error, state.tolerated) == (
        ActionStatus.FAILED,
        FAILURE,
        tolerated,
    )
    assert state.blocks is not tolerated
    assert (after.attempt, after.retries_left) == (1, 3)


def test_a_new_execution_is_queued_with_its_first_event() -> None:
    born = transitions.queue(replace(queued(), seq=0, history=()), LATER)
    assert (born.status, born.wake_at, born.seq) == (Status.QUEUED, LATER, 1)
    assert born.history == (HistoryEvent(1, EventType.QUEUED, NOW, retries_left=3),)


def test_a_skipped_execution_is_born_ended() -> None:
    reason = Skip(SkipReason.OVERLAP, NOW, NOW, 1)
    born = transitions.skip(queued(), reason, RETENTION)
    assert (born.status, born.skip) == (Status.SKIPPED, reason)
    assert (born.wake_at, born.active_key, born.lease) == (None, None, None)
    assert (born.finished_at, born.expires_at) == (NOW, NOW + RETENTION)
    assert born.history == (HistoryEvent(1, EventType.SKIPPED, NOW, reason="overlap"),)


def test_what_an_earlier_version_stored_is_read() -> None:
    assert ErrorCategory("retryable") is ErrorCategory.RECOVERABLE
    pending = ActionState(ActionStatus.PENDING, 1)
    assert attempt_due(pending, NOW) == 2
    with pytest.raises(ValueError, match="nonsense"):
        ErrorCategory("nonsense")
