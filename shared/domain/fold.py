"""Deriving the state of an execution from its history, and comparing it with what is stored."""

from collections.abc import Mapping
from typing import Final

from shared.domain.errors import PlatformError
from shared.domain.execution import EventType, Execution, Status
from shared.domain.history import STATE, active_key, buffer_key
from shared.domain.identity import digest
from shared.domain.transitions import apply

_BIRTHS: Final[Mapping[EventType, Status]] = {
    EventType.QUEUED: Status.QUEUED,
    EventType.BUFFERED: Status.BUFFERED,
    EventType.SKIPPED: Status.SKIPPED,
}


class BrokenHistory(PlatformError):
    """A history with a gap, or with an event that could not have happened."""


def fold(execution: Execution, until: int | None = None) -> Execution:
    """Return the state that the first `until` events of an execution's history lead to.

    Of the execution only what it was born with is used, and its history. Raises BrokenHistory.
    """
    events = execution.history if until is None else execution.history[:until]
    numbers = [event.seq for event in events]
    if not events or numbers != list(range(1, len(numbers) + 1)):
        raise BrokenHistory(f"the events of '{execution.id}' are numbered {numbers[:100]}")
    state = born(execution)
    for event in events[1:]:
        try:
            state = apply(state, event)
        except (PlatformError, KeyError) as error:
            raise BrokenHistory(f"event {event.seq} of '{execution.id}': {error}") from error
    return state


def born(execution: Execution) -> Execution:
    """Return an execution as it was when its first event was recorded."""
    first = execution.history[0]
    status = _BIRTHS.get(first.type, Status.QUEUED)
    skipped = status is Status.SKIPPED
    return execution.evolve(
        status=status,
        attempt=1,
        retries_left=first.retries_left or 0,
        recoveries=0,
        resends=0,
        seq=1,
        wake_at=None,
        next_attempt_at=None,
        lease=None,
        last_token=None,
        active_key=active_key(execution, first) if status is Status.QUEUED else None,
        buffer_key=buffer_key(execution, first) if status is Status.BUFFERED else None,
        actions={},
        error=None,
        ending=None,
        deadline=first.deadline,
        started_at=None,
        skip=execution.skip if skipped else None,
        finished_at=first.at if skipped else None,
        expires_at=None,
        history=(first,),
    )


def differences(execution: Execution) -> list[str]:
    """Say in what the stored state differs from its history; nothing, if all is well."""
    try:
        derived = fold(execution)
    except BrokenHistory as error:
        return [str(error)]
    found = [
        f"{name} is stored as {stored!r}, the history gives {given!r}"
        for name in STATE
        if name != "actions"
        and (stored := getattr(execution, name)) != (given := getattr(derived, name))
    ]
    for key in sorted(execution.actions.keys() | derived.actions.keys()):
        stored, given = execution.actions.get(key), derived.actions.get(key)
        if stored != given:
            found.append(f"action '{key}' is stored as {stored!r}, the history gives {given!r}")
    found += [
        f"the output of '{event.action}' is not the one that event {event.seq} recorded"
        for event in execution.history
        if event.digest is not None and digest(event.output) != event.digest
    ]
    return found
