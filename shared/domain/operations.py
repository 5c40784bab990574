"""What an operator may do to an execution: cancel, resolve, retry, replay and rerun it."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import JsonValue

from shared.domain import engine, transitions
from shared.domain.compensation import to_undo
from shared.domain.errors import Conflict, ExecutionFinished, NotFound
from shared.domain.execution import (
    UNFINISHED,
    ActionState,
    ActionStatus,
    ErrorCategory,
    EventType,
    Execution,
    Origin,
    Status,
)
from shared.domain.graph import upstream
from shared.domain.identity import digest, fingerprint
from shared.domain.landing import after_call
from shared.domain.manual import Asked, manual
from shared.domain.outcomes import Attempt, Call, Failed, Succeeded, Timing, action_of
from shared.domain.plan import Plan, deadline


class Resolution(StrEnum):
    """What an operator knows, or wants, of a call whose outcome is unknown."""

    HAPPENED = "happened"
    DID_NOT_HAPPEN = "did-not-happen"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Repeat:
    """How to repeat an execution: under which id, with which input, from which action on."""

    id: str
    input: JsonValue
    action: str | None = None


def cancel(plan: Plan | None, execution: Execution, now: datetime, timing: Timing) -> Execution:
    """Return the execution cancelled, or on its way there if it has something to undo.

    A call under way is aborted, and whether it had its effect nobody knows: so it is
    undone too. Raises ExecutionFinished, or Conflict while it is ending already.
    """
    if execution.status not in UNFINISHED:
        raise ExecutionFinished(execution.id, execution.status.value)
    if execution.ending is not None:
        raise Conflict(
            f"Execution '{execution.id}' is ending already: its compensations run, after which "
            f"it is {execution.ending.status.value}."
        )
    if execution.status is Status.BUFFERED:
        return transitions.cancel(execution, now, timing.retention)
    undoing = to_undo(plan, execution, _perhaps_started(plan, execution, now)) if plan else ()
    if not undoing:
        return transitions.cancel(execution, now, timing.retention)
    return transitions.request_cancel(execution, undoing, now)


def resolve(
    plan: Plan,
    execution: Execution,
    key: str,
    resolution: Resolution,
    output: JsonValue,
    now: datetime,
) -> Execution:
    """Return the execution with an operator's answer about an unknown outcome, queued.

    What did not happen counts as a failed attempt, so the retry policy decides; `retry`
    makes the call again in any case. Raises NotFound or Conflict.
    """
    state = _unknown(execution, key)
    if execution.status is Status.RUNNING:
        raise Conflict(
            f"Execution '{execution.id}' is running other actions, and its runner would not "
            f"hear of an answer. Resolve '{key}' again when the execution is 'waiting' or "
            "'pending': its runner lets go of it as soon as nothing else runs."
        )
    answered = transitions.happen(
        execution, EventType.ACTION_RESOLVED, now, action=key, reason=resolution.value
    )
    if resolution is not Resolution.RETRY:
        said = "an operator said that it did not happen"
        outcome = (
            Succeeded(output)
            if resolution is Resolution.HAPPENED
            else Failed(ErrorCategory.RECOVERABLE, said)
        )
        call = Call(plan.action(key), key, state.attempts)
        attempt = Attempt(call, state.started_at or now, now, outcome)
        answered = after_call(plan, answered, attempt, spread=0.5)
    return transitions.requeue(answered, now)


def retry(plan: Plan, execution: Execution, now: datetime, slot: int = 0) -> Execution:
    """Return a failed execution, queued again: what succeeded stays, what failed is retried.

    It takes a slot of its workflow, like a new one.
    Raises Conflict if it has not failed, or if what it did was undone.
    """
    if execution.status is not Status.FAILED:
        raise Conflict(
            f"Execution '{execution.id}' is {execution.status.value}; only a failed one "
            "can be retried. A rerun starts it anew."
        )
    if any(key in execution.actions for key in plan.parents):
        raise Conflict(
            f"Execution '{execution.id}' was compensated: what it did is undone, so it cannot "
            "go on. A rerun starts it anew."
        )
    left = [action for key, action in plan.actions.items() if not execution.is_completed(key)]
    first = left[0] if left else plan.definition.actions[0]
    retried = transitions.happen(
        execution,
        EventType.RETRIED,
        now,
        retries_left=plan.retry_policy(first).retries,
        deadline=deadline(plan.definition, now),
        slot=slot or None,
    )
    return transitions.requeue(retried, now)


def repeat(
    plan: Plan, execution: Execution, how: Repeat, now: datetime, timing: Timing
) -> Execution:
    """Return a new execution of the same version, linked to the one it repeats.

    From an action on (a replay), the outputs of the actions that do not depend on it
    are reused. Raises NotFound if there is no such action.
    """
    if how.action is not None and how.action not in plan.actions:
        raise NotFound("action", how.action)
    kind = "rerun" if how.action is None else "replay"
    asked = Asked(
        how.id,
        how.input,
        fingerprint([kind, execution.id, how.action, how.input]),
        Origin(kind, execution.id, how.action),
    )
    queued = manual(plan.definition, execution.tenant, execution.version, asked, now, timing)
    return queued if how.action is None else _reuse(plan, execution, queued, how.action, now)


def _reuse(
    plan: Plan, execution: Execution, queued: Execution, action: str, now: datetime
) -> Execution:
    """Take over what completed and does not depend on the action, in the order it completed."""
    kept = [
        (state.ended_seq, key, state)
        for key, state in execution.actions.items()
        if state.status is ActionStatus.COMPLETED and action_of(key) in _independent(plan, action)
    ]
    for _, key, state in sorted(kept, key=lambda found: found[0]):
        queued = transitions.happen(
            queued,
            EventType.ACTION_REUSED,
            now,
            action=key,
            attempt=state.attempts,
            started_at=state.started_at,
            output=state.output,
            digest=None if state.output is None else digest(state.output),
            items=state.items,
        )
    return queued


def _independent(plan: Plan, action: str) -> Collection[str]:
    return [
        key for key in plan.actions if key != action and action not in upstream(plan.needs, key)
    ]


def _perhaps_started(plan: Plan, execution: Execution, now: datetime) -> frozenset[str]:
    """Return the actions that a runner may be calling at this moment."""
    if execution.status is not Status.RUNNING:
        return frozenset()
    started = {
        action_of(key)
        for key, state in execution.actions.items()
        if state.status in {ActionStatus.STARTED, ActionStatus.UNKNOWN}
    }
    return frozenset(
        started | {call.action.key for call in engine.next_calls(plan, execution, (), now)}
    )


def _unknown(execution: Execution, key: str) -> ActionState:
    state = execution.actions.get(key)
    if state is None:
        raise NotFound("action", key)
    if state.status is not ActionStatus.UNKNOWN or execution.status not in UNFINISHED:
        raise Conflict(
            f"The outcome of '{key}' is not unknown: it is {state.status.value}, and its "
            f"execution is {execution.status.value}."
        )
    return state
