"""The table of legal transitions, pair by pair."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain import transitions
from shared.domain.errors import IllegalTransition
from shared.domain.execution import (
    UNFINISHED,
    ErrorCategory,
    EventType,
    Execution,
    Failure,
    Status,
)
from shared.domain.transitions import TRANSITIONS
from tests.support.builders import NOW, SECOND, lease, queued, running

LATER = NOW + 7 * SECOND
RETENTION = timedelta(days=30)
FAILURE = Failure(ErrorCategory.RETRYABLE, "HTTP 500")
BIRTHS = {EventType.QUEUED, EventType.SKIPPED}

LEGAL = {
    ("claimed", "queued"): "running",
    ("claimed", "pending"): "running",
    ("recovered", "running"): "running",
    ("released", "running"): "queued",
    ("action.completed", "running"): "running",
    ("action.failed", "running"): "running",
    ("retry.scheduled", "running"): "pending",
    ("completed", "running"): "completed",
    ("failed", "running"): "failed",
    ("cancelled", "queued"): "cancelled",
    ("cancelled", "running"): "cancelled",
    ("cancelled", "pending"): "cancelled",
    ("cancelled", "waiting"): "cancelled",
}
CALLS: dict[EventType, Callable[[Execution], Execution]] = {
    EventType.CLAIMED: lambda e: transitions.claim(e, lease("new"), LATER),
    EventType.RECOVERED: lambda e: transitions.claim(e, lease("new"), LATER),
    EventType.RELEASED: lambda e: transitions.release(e, LATER),
    EventType.ACTION_COMPLETED: lambda e: transitions.complete_action(
        e, "a", started_at=NOW, output={"x": 1}, now=LATER
    ),
    EventType.ACTION_FAILED: lambda e: transitions.fail_action(
        e, "a", started_at=NOW, failure=FAILURE, final=False, now=LATER
    ),
    EventType.RETRY_SCHEDULED: lambda e: transitions.schedule_retry(e, LATER + SECOND, LATER),
    EventType.COMPLETED: lambda e: transitions.complete(e, LATER, RETENTION),
    EventType.FAILED: lambda e: transitions.fail(e, FAILURE, LATER, RETENTION),
    EventType.CANCELLED: lambda e: transitions.cancel(e, LATER, RETENTION),
}
CLAIMS = {EventType.CLAIMED, EventType.RECOVERED}
"""One call: whether it is the one or the other, the status tells."""


def _in(status: Status) -> Execution:
    held = running(last_token="old") if status is Status.RUNNING else queued(last_token="old")
    backoff = NOW if status is Status.PENDING else None
    return replace(held, status=status, next_attempt_at=backoff)


def test_the_table_is_the_one_that_is_documented() -> None:
    pairs = {
        (event.value, source.value): transition.target.value
        for event, transition in TRANSITIONS.items()
        for source in transition.sources
    }
    assert pairs == LEGAL
    assert TRANSITIONS.keys() == set(EventType) - BIRTHS


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("event", CALLS)
def test_a_pair_happens_exactly_if_the_table_has_it(event: EventType, status: Status) -> None:
    if event in CLAIMS:
        event = EventType.RECOVERED if status is Status.RUNNING else EventType.CLAIMED
    before = _in(status)
    target = LEGAL.get((event.value, status.value))
    if target is None:
        with pytest.raises(IllegalTransition) as refusal:
            CALLS[event](before)
        assert (refusal.value.event, refusal.value.status) == (event.value, status.value)
        return
    after = CALLS[event](before)
    assert after.status.value == target
    assert after.seq == before.seq + 1 == len(after.history)
    assert after.history[:-1] == before.history
    appended = after.history[-1]
    assert (appended.seq, appended.type, appended.at) == (after.seq, event, LATER)
    assert before == _in(status)


@pytest.mark.parametrize("status", [s for s in Status if s not in UNFINISHED])
def test_nothing_happens_to_what_has_ended(status: Status) -> None:
    for call in CALLS.values():
        with pytest.raises(IllegalTransition):
            call(_in(status))
