"""Whether an action may run: what became of those it needs, and whether all is stopping."""

from datetime import datetime

from shared.domain.definition import ActionDefinition, RunIf
from shared.domain.execution import ActionState, ActionStatus, Execution, SkippedBecause
from shared.domain.plan import Plan


def fate_of(
    plan: Plan, execution: Execution, action: ActionDefinition, *, stopping: bool
) -> SkippedBecause | bool:
    """Decide about an action that has not started: run now (True), wait (False), or skip."""
    if stopping and action.run_if is RunIf.SUCCESS:
        return SkippedBecause.STOPPED
    blocked = failed = False
    for need in plan.needs[action.key]:
        state = execution.actions.get(need)
        if state is None or not state.ended:
            return False
        blocked = blocked or state.blocks
        failed = failed or state.blocks or state.status is ActionStatus.FAILED
    if action.run_if is RunIf.SUCCESS:
        return SkippedBecause.UPSTREAM if blocked else True
    if action.run_if is RunIf.FAILURE:
        return True if failed else SkippedBecause.NO_FAILURE
    return True


def is_untroubled(plan: Plan, execution: Execution) -> bool:
    """Tell whether all that was begun has completed, so that nothing is skipped or undone.

    It is the ordinary case, for which the engine takes short cuts: a third of its time.
    """
    if plan.handles_failures or execution.ending is not None:
        return False
    for state in execution.actions.values():  # noqa: SIM110 - asked at every step
        if state.status is not ActionStatus.COMPLETED:
            return False
    return True


def has_failed(plan: Plan, execution: Execution) -> bool:
    """Tell whether an action failed in a way that ends the execution."""
    return any(is_failed(execution, key) for key in plan.actions)


def failed_first(plan: Plan, execution: Execution) -> str | None:
    """Return the action whose failure ends the execution; of several, the first to fail."""
    failed = [
        (execution.actions[key].ended_seq, key) for key in plan.actions if is_failed(execution, key)
    ]
    return min(failed)[1] if failed else None


def is_failed(execution: Execution, key: str) -> bool:
    """Tell whether an action failed and nobody tolerates it."""
    state = execution.actions.get(key)
    return state is not None and state.status is ActionStatus.FAILED and not state.tolerated


def has_ended(execution: Execution, key: str) -> bool:
    """Tell whether an action is done with, one way or another."""
    state = execution.actions.get(key)
    return state is not None and state.ended


def attempt_due(state: ActionState | None, now: datetime) -> int | None:
    """Return the number of the call to make now, None if there is none to make.

    A failed call without an instant is to be made again now.
    """
    if state is None:
        return 1
    at = state.next_attempt_at
    due = state.status is ActionStatus.PENDING and (at is None or at <= now)
    return state.attempts + 1 if due else None
