"""What each event does to an execution. The state is nothing but the fold of its history.

What is not here is coordination, which leaves no trace in the history: the lease and
its token, `wake_at` and `resends` of the sweep, and when a finished execution expires.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from shared.domain.execution import (
    ActionState,
    ActionStatus,
    Ending,
    EventType,
    Execution,
    HistoryEvent,
    Skip,
    SkippedBecause,
    SkipReason,
    Status,
)
from shared.domain.identity import place_key, slot_key, workflow_key
from shared.domain.ledger import first_of

Changes = dict[str, Any]
STATE: Final = (
    "status",
    "attempt",
    "retries_left",
    "recoveries",
    "seq",
    "next_attempt_at",
    "active_key",
    "buffer_key",
    "actions",
    "error",
    "ending",
    "deadline",
    "started_at",
    "finished_at",
)
"""The attributes that the history determines, given how the execution was born."""

_KEPT_BY_RETRY: Final = frozenset({ActionStatus.COMPLETED, ActionStatus.UNKNOWN})


def changes_of(execution: Execution, event: HistoryEvent) -> Changes:
    """Return what an event changes, apart from the status."""
    changes = _EFFECTS[event.type](execution, event)
    if not execution.actions and execution.started_at is not None:
        changes.update(_begun(execution, event))
    return changes


def _begun(execution: Execution, event: HistoryEvent) -> Changes:
    """Say when the first action really began, where the claim came ahead of the instant."""
    if execution.started_at != execution.scheduled_for:
        return {}
    intent = event.at if event.type is EventType.ACTION_STARTED else None
    begun = event.started_at or intent
    return {} if begun is None else {"started_at": begun}


def active_key(execution: Execution, event: HistoryEvent) -> str:
    """Return the key that an execution takes with an event."""
    return slot_key(workflow_key(execution.tenant, execution.workflow_id), event.slot or 0)


def buffer_key(execution: Execution, event: HistoryEvent) -> str:
    """Return the key of the place in the buffer that an execution takes with an event."""
    return place_key(workflow_key(execution.tenant, execution.workflow_id), event.place or 0)


def _nothing(_: Execution, __: HistoryEvent) -> Changes:
    return {}


def _promoted(execution: Execution, event: HistoryEvent) -> Changes:
    return {
        "active_key": active_key(execution, event),
        "buffer_key": None,
        "deadline": event.deadline or execution.deadline,
    }


def _skipped(execution: Execution, event: HistoryEvent) -> Changes:
    """It had to wait, and does not run after all; nothing of it was begun."""
    instant = first_of(execution)
    return {
        "buffer_key": None,
        "skip": Skip(SkipReason(event.reason or ""), instant, instant, 1),
        "finished_at": event.at,
    }


def _claimed(execution: Execution, event: HistoryEvent) -> Changes:
    # A runner may take an execution ahead of its instant, for which it waits.
    begun = max(event.at, execution.scheduled_for or event.at)
    return {"next_attempt_at": None, "started_at": execution.started_at or begun}


def _recovered(execution: Execution, event: HistoryEvent) -> Changes:
    return {**_claimed(execution, event), "recoveries": execution.recoveries + 1}


def _started(execution: Execution, event: HistoryEvent) -> Changes:
    before = execution.actions.get(event.action or "")
    attempts = before.attempts if before else 0
    return _with(execution, event, ActionState(ActionStatus.STARTED, attempts, started_at=event.at))


def _expanded(execution: Execution, event: HistoryEvent) -> Changes:
    return _with(
        execution,
        event,
        ActionState(ActionStatus.EXPANDED, started_at=event.started_at, items=event.items),
    )


def _completed_action(execution: Execution, event: HistoryEvent) -> Changes:
    before = execution.actions.get(event.action or "")
    state = ActionState(
        ActionStatus.COMPLETED,
        event.attempt or 0,
        event.started_at,
        event.at,
        output=event.output,
        items=event.items if before is None else before.items,
        ended_seq=event.seq,
    )
    changes = _with(execution, event, state)
    changes["error"] = None
    if event.retries_left is not None:
        changes["attempt"] = 1
        changes["retries_left"] = event.retries_left
    return changes


def _failed_action(execution: Execution, event: HistoryEvent) -> Changes:
    again = event.next_attempt_at
    before = execution.actions.get(event.action or "")
    state = ActionState(
        ActionStatus.FAILED if again is None else ActionStatus.PENDING,
        event.attempt or 0,
        event.started_at,
        event.at,
        error=event.error,
        next_attempt_at=again,
        tolerated=event.tolerated,
        items=before.items if before else None,
        ended_seq=event.seq if again is None else 0,
    )
    changes = {**_with(execution, event, state), "error": event.error}
    if event.attempt is not None:
        changes["attempt"] = event.attempt + (again is not None)
    if event.retries_left is not None:
        changes["retries_left"] = event.retries_left
    return changes


def _skipped_action(execution: Execution, event: HistoryEvent) -> Changes:
    before = execution.actions.get(event.action or "") or ActionState(ActionStatus.SKIPPED)
    state = before._replace(
        status=ActionStatus.SKIPPED,
        finished_at=event.at,
        next_attempt_at=None,
        reason=event.reason,
        ended_seq=event.seq,
    )
    return _with(execution, event, state)


def _waiting_action(execution: Execution, event: HistoryEvent) -> Changes:
    state = ActionState(
        ActionStatus.WAITING,
        event.attempt or 0,
        event.started_at,
        next_attempt_at=event.next_attempt_at,
    )
    return _with(execution, event, state)


def _unknown_action(execution: Execution, event: HistoryEvent) -> Changes:
    before = execution.actions.get(event.action or "") or ActionState(ActionStatus.UNKNOWN)
    state = before._replace(
        status=ActionStatus.UNKNOWN,
        attempts=event.attempt or before.attempts,
        started_at=event.started_at or before.started_at,
        error=event.error,
    )
    return _with(execution, event, state)


def _resolved(execution: Execution, event: HistoryEvent) -> Changes:
    """An answer that the call did not happen, or is to be made again, makes it due at once."""
    before = execution.actions[event.action or ""]
    state = before._replace(status=ActionStatus.PENDING, next_attempt_at=event.at)
    return {**_with(execution, event, state), "next_attempt_at": None}


def _suspended(_: Execution, event: HistoryEvent) -> Changes:
    """In backoff, the execution speaks of the action that is retried first."""
    changes: Changes = {"next_attempt_at": event.next_attempt_at}
    if event.attempt is not None:
        changes |= {"attempt": event.attempt, "error": event.error}
        changes["retries_left"] = event.retries_left or 0
    return changes


def _compensating(status: Status) -> Callable[[Execution, HistoryEvent], Changes]:
    def effect(execution: Execution, event: HistoryEvent) -> Changes:
        return {
            "ending": Ending(status, event.undoing, event.error),
            "error": event.error,
            "next_attempt_at": None,
            "recoveries": 0,
            "actions": _given_up(execution, event),
        }

    return effect


def _retried(execution: Execution, event: HistoryEvent) -> Changes:
    """What failed, and what was kept from running, is forgotten; what succeeded stays.

    So does what is unknown: it still must not be repeated without being asked for.
    """
    kept = {
        key: state
        for key, state in execution.actions.items()
        if state.status in _KEPT_BY_RETRY
        or (state.status is ActionStatus.SKIPPED and not state.blocks)
        or (state.status is ActionStatus.FAILED and state.tolerated)
    }
    return {
        "actions": kept,
        "active_key": active_key(execution, event),
        "attempt": 1,
        "retries_left": event.retries_left or 0,
        "recoveries": 0,
        "error": None,
        "ending": None,
        "deadline": event.deadline,
        "finished_at": None,
    }


def _ended(execution: Execution, event: HistoryEvent) -> Changes:
    return {
        "active_key": None,
        "next_attempt_at": None,
        "finished_at": event.at,
        "actions": _given_up(execution, event),
        "ending": None,
    }


def _completed(_: Execution, event: HistoryEvent) -> Changes:
    return {
        "active_key": None,
        "next_attempt_at": None,
        "finished_at": event.at,
        "error": None,
    }


def _failed(execution: Execution, event: HistoryEvent) -> Changes:
    return {**_ended(execution, event), "error": event.error}


def _cancelled(execution: Execution, event: HistoryEvent) -> Changes:
    ended = {**_ended(execution, event), "buffer_key": None}
    return {**ended, "error": event.error or execution.error}


def _given_up(execution: Execution, event: HistoryEvent) -> Mapping[str, ActionState]:
    """Close what was under way when the execution came to its end."""
    if all(state.ended for state in execution.actions.values()):
        return execution.actions
    return {
        key: state if state.ended else _closed(state, event)
        for key, state in execution.actions.items()
    }


def _closed(state: ActionState, event: HistoryEvent) -> ActionState:
    if state.status in {ActionStatus.STARTED, ActionStatus.UNKNOWN}:
        return state._replace(status=ActionStatus.UNKNOWN)
    return state._replace(
        status=ActionStatus.SKIPPED,
        reason=SkippedBecause.STOPPED.value,
        finished_at=event.at,
        next_attempt_at=None,
        ended_seq=event.seq,
    )


def _with(execution: Execution, event: HistoryEvent, state: ActionState) -> Changes:
    return {"actions": {**execution.actions, event.action or "": state}}


_EFFECTS: Final[Mapping[EventType, Callable[[Execution, HistoryEvent], Changes]]] = {
    EventType.SKIPPED: _skipped,
    EventType.PROMOTED: _promoted,
    EventType.CLAIMED: _claimed,
    EventType.RECOVERED: _recovered,
    EventType.RELEASED: _nothing,
    EventType.ACTION_STARTED: _started,
    EventType.ACTION_EXPANDED: _expanded,
    EventType.ACTION_COMPLETED: _completed_action,
    EventType.ACTION_REUSED: _completed_action,
    EventType.ACTION_FAILED: _failed_action,
    EventType.ACTION_SKIPPED: _skipped_action,
    EventType.ACTION_WAITING: _waiting_action,
    EventType.ACTION_UNKNOWN: _unknown_action,
    EventType.ACTION_RESOLVED: _resolved,
    EventType.RETRY_SCHEDULED: _suspended,
    EventType.WAITING: _suspended,
    EventType.COMPENSATION_STARTED: _compensating(Status.FAILED),
    EventType.CANCEL_REQUESTED: _compensating(Status.CANCELLED),
    EventType.RETRIED: _retried,
    EventType.COMPLETED: _completed,
    EventType.FAILED: _failed,
    EventType.CANCELLED: _cancelled,
}
