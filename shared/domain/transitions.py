"""The legal transitions of an execution, as a table, and each as a pure function.

Every function returns the next state with the event that caused it appended to
the history. An adapter stores both in one atomic update, so a crash leaves
either the old state or the new one, never a mixture.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from pydantic import JsonValue

from shared.domain.errors import IllegalTransition
from shared.domain.execution import (
    UNFINISHED,
    ActionState,
    ActionStatus,
    EventType,
    Execution,
    Failure,
    HistoryEvent,
    Lease,
    Skip,
    Status,
)


@dataclass(frozen=True, slots=True)
class Transition:
    """From which statuses an event may happen, and the status it leads to."""

    sources: frozenset[Status]
    target: Status


_RUNNING: Final = frozenset({Status.RUNNING})

TRANSITIONS: Final[Mapping[EventType, Transition]] = MappingProxyType(
    {
        EventType.CLAIMED: Transition(frozenset({Status.QUEUED, Status.PENDING}), Status.RUNNING),
        EventType.RECOVERED: Transition(_RUNNING, Status.RUNNING),
        EventType.RELEASED: Transition(_RUNNING, Status.QUEUED),
        EventType.ACTION_COMPLETED: Transition(_RUNNING, Status.RUNNING),
        EventType.ACTION_FAILED: Transition(_RUNNING, Status.RUNNING),
        EventType.RETRY_SCHEDULED: Transition(_RUNNING, Status.PENDING),
        EventType.COMPLETED: Transition(_RUNNING, Status.COMPLETED),
        EventType.FAILED: Transition(_RUNNING, Status.FAILED),
        EventType.CANCELLED: Transition(UNFINISHED, Status.CANCELLED),
    }
)
"""`queued` and `skipped` are births, so they are not in the table: see `queue` and `skip`."""


def queue(execution: Execution, wake_at: datetime) -> Execution:
    """Return a new execution, queued, to be looked at again at `wake_at`."""
    born = HistoryEvent(1, EventType.QUEUED, execution.created_at)
    return execution.evolve(status=Status.QUEUED, wake_at=wake_at, seq=1, history=(born,))


def skip(execution: Execution, reason: Skip, retention: timedelta) -> Execution:
    """Return a new execution that records why an occurrence did not run."""
    at = execution.created_at
    born = HistoryEvent(1, EventType.SKIPPED, at, reason=reason.reason.value)
    return execution.evolve(
        status=Status.SKIPPED,
        skip=reason,
        active_key=None,
        wake_at=None,
        seq=1,
        finished_at=at,
        expires_at=at + retention,
        history=(born,),
    )


def is_claimable(execution: Execution, now: datetime) -> bool:
    """Tell whether a runner may claim: queued, backed off long enough, or its lease has run out."""
    match execution.status:
        case Status.QUEUED:
            return True
        case Status.PENDING:
            return execution.next_attempt_at is not None and execution.next_attempt_at <= now
        case Status.RUNNING:
            return execution.lease is not None and execution.lease.until <= now
        case _:
            return False


def claim(execution: Execution, lease: Lease, now: datetime) -> Execution:
    """Return the execution in the hands of a runner; from an expired lease it is a recovery."""
    recovered = execution.status is Status.RUNNING
    return _step(
        execution,
        EventType.RECOVERED if recovered else EventType.CLAIMED,
        now,
        {"runner": lease.owner},
        lease=lease,
        wake_at=lease.until,
        next_attempt_at=None,
        resends=0,
        recoveries=execution.recoveries + int(recovered),
        started_at=execution.started_at or now,
    )


def release(execution: Execution, now: datetime) -> Execution:
    """Return the execution given back unfinished, for another runner to claim at once."""
    return _step(
        execution,
        EventType.RELEASED,
        now,
        lease=None,
        last_token=_token(execution),
        wake_at=now,
    )


def complete_action(
    execution: Execution, action_id: str, *, started_at: datetime, output: JsonValue, now: datetime
) -> Execution:
    """Return the execution with the success of an action recorded."""
    state = ActionState(ActionStatus.COMPLETED, execution.attempt, started_at, now, output=output)
    return _step(
        execution,
        EventType.ACTION_COMPLETED,
        now,
        {"action": action_id, "attempt": execution.attempt, "started_at": started_at},
        actions={**execution.actions, action_id: state},
    )


def fail_action(
    execution: Execution,
    action_id: str,
    *,
    started_at: datetime,
    failure: Failure,
    final: bool,
    now: datetime,
) -> Execution:
    """Return the execution with one failed attempt recorded; `final` if it was the last."""
    status = ActionStatus.FAILED if final else ActionStatus.PENDING
    state = ActionState(status, execution.attempt, started_at, now, error=failure)
    return _step(
        execution,
        EventType.ACTION_FAILED,
        now,
        {
            "action": action_id,
            "attempt": execution.attempt,
            "started_at": started_at,
            "error": failure,
        },
        actions={**execution.actions, action_id: state},
        error=failure,
    )


def schedule_retry(execution: Execution, at: datetime, now: datetime) -> Execution:
    """Return the execution in backoff until `at`; its lease ends."""
    return _step(
        execution,
        EventType.RETRY_SCHEDULED,
        now,
        {"next_attempt_at": at},
        attempt=execution.attempt + 1,
        retries_left=execution.retries_left - 1,
        next_attempt_at=at,
        wake_at=at,
        lease=None,
        last_token=_token(execution),
    )


def complete(execution: Execution, now: datetime, retention: timedelta) -> Execution:
    """Return the execution completed; it no longer holds its workflow."""
    return _end(execution, EventType.COMPLETED, now, retention, {}, error=None)


def fail(execution: Execution, failure: Failure, now: datetime, retention: timedelta) -> Execution:
    """Return the execution failed for good; it no longer holds its workflow."""
    return _end(execution, EventType.FAILED, now, retention, {"error": failure}, error=failure)


def cancel(execution: Execution, now: datetime, retention: timedelta) -> Execution:
    """Return the execution cancelled; whatever its runner still reports is refused."""
    return _end(execution, EventType.CANCELLED, now, retention, {})


def _end(
    execution: Execution,
    event: EventType,
    now: datetime,
    retention: timedelta,
    details: Mapping[str, Any],
    **changes: Any,
) -> Execution:
    return _step(
        execution,
        event,
        now,
        details,
        lease=None,
        last_token=_token(execution),
        active_key=None,
        wake_at=None,
        next_attempt_at=None,
        finished_at=now,
        expires_at=now + retention,
        **changes,
    )


def _step(
    execution: Execution,
    event: EventType,
    now: datetime,
    details: Mapping[str, Any] = MappingProxyType({}),
    **changes: Any,
) -> Execution:
    transition = TRANSITIONS[event]
    if execution.status not in transition.sources:
        raise IllegalTransition(event.value, execution.status.value)
    seq = execution.seq + 1
    happened = HistoryEvent(seq, event, now, **details)
    return execution.evolve(
        status=transition.target,
        seq=seq,
        history=(*execution.history, happened),
        **changes,
    )


def _token(execution: Execution) -> str | None:
    return execution.lease.token if execution.lease else execution.last_token
