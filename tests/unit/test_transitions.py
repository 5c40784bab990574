"""The table of legal transitions, pair by pair."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain import transitions
from shared.domain.errors import IllegalTransition
from shared.domain.execution import (
    UNFINISHED,
    ActionState,
    ActionStatus,
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
FAILURE = Failure(ErrorCategory.RECOVERABLE, "HTTP 500")
BIRTHS = {EventType.QUEUED, EventType.BUFFERED}

RUNNING, QUIET, BUFFERED = {"running"}, {"queued", "pending", "waiting"}, {"buffered"}
TABLE: dict[str, tuple[set[str], str | None]] = {
    "skipped": (BUFFERED, "skipped"),
    "promoted": (BUFFERED, "queued"),
    "claimed": (QUIET, "running"),
    "recovered": (RUNNING, "running"),
    "released": (RUNNING, "queued"),
    "action.started": (RUNNING, None),
    "action.expanded": (RUNNING, None),
    "action.completed": (RUNNING | QUIET, None),
    "action.reused": ({"queued", "buffered"}, None),
    "action.failed": (RUNNING | QUIET, None),
    "action.skipped": (RUNNING, None),
    "action.waiting": (RUNNING, None),
    "action.unknown": (RUNNING, None),
    "action.resolved": (QUIET, "queued"),
    "retry.scheduled": (RUNNING, "pending"),
    "waiting": (RUNNING, "waiting"),
    "compensation.started": (RUNNING, None),
    "cancel.requested": (RUNNING | QUIET, "queued"),
    "retried": ({"failed"}, "queued"),
    "completed": (RUNNING, "completed"),
    "failed": (RUNNING, "failed"),
    "cancelled": (RUNNING | QUIET | BUFFERED, "cancelled"),
}
LEGAL = {
    (event, source): target or source
    for event, (sources, target) in TABLE.items()
    for source in sources
}


def _event(event: EventType, **details: Any) -> Callable[[Execution], Execution]:
    return lambda e: transitions.happen(e, event, LATER, **details)


CALLS: dict[EventType, Callable[[Execution], Execution]] = {
    **{
        event: _event(event, action="a") for event in EventType if event.value.startswith("action.")
    },
    EventType.SKIPPED: lambda e: transitions.supersede(e, LATER, RETENTION),
    EventType.PROMOTED: lambda e: transitions.promote(e, 0, LATER, LATER),
    EventType.CLAIMED: lambda e: transitions.claim(e, lease("new"), LATER),
    EventType.RECOVERED: lambda e: transitions.claim(e, lease("new"), LATER),
    EventType.RELEASED: lambda e: transitions.release(e, LATER),
    EventType.RETRY_SCHEDULED: lambda e: transitions.suspend(
        e, EventType.RETRY_SCHEDULED, LATER + SECOND, LATER
    ),
    EventType.WAITING: lambda e: transitions.suspend(e, EventType.WAITING, LATER + SECOND, LATER),
    EventType.COMPENSATION_STARTED: lambda e: transitions.start_compensation(
        e, ["a"], FAILURE, LATER
    ),
    EventType.CANCEL_REQUESTED: lambda e: transitions.request_cancel(e, ["a"], LATER),
    EventType.RETRIED: _event(EventType.RETRIED, retries_left=3),
    EventType.COMPLETED: lambda e: transitions.complete(e, LATER, RETENTION),
    EventType.FAILED: lambda e: transitions.fail(e, FAILURE, LATER, RETENTION),
    EventType.CANCELLED: lambda e: transitions.cancel(e, LATER, RETENTION),
}
CLAIMS = {EventType.CLAIMED, EventType.RECOVERED}
"""One call: whether it is the one or the other, the status tells."""


def _in(status: Status) -> Execution:
    held = running(last_token="old") if status is Status.RUNNING else queued(last_token="old")
    backoff = NOW if status is Status.PENDING else None
    unknown = {"a": ActionState(ActionStatus.UNKNOWN, 1)}
    return replace(held, status=status, next_attempt_at=backoff, actions=unknown)


def test_the_table_is_the_one_that_is_documented() -> None:
    pairs = {
        (event.value, source.value): (transition.target or source).value
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
def test_nothing_but_a_retry_happens_to_what_has_ended(status: Status) -> None:
    for event, call in CALLS.items():
        if (event.value, status.value) != ("retried", "failed"):
            with pytest.raises(IllegalTransition):
                call(_in(status))
