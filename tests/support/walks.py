"""Walks through the engine at random: outcomes, crashes, claims and commands in any order.

The numbers are drawn from seeds, so that the same code always gives the same walks.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from shared.domain import operations, transitions
from shared.domain.execution import ActionStatus, EventType, Execution
from shared.domain.fold import born
from shared.domain.operations import Repeat
from tests.support.builders import definition
from tests.support.world import TIMING, World

WALKS: Final = 400
STEPS: Final = 40
_RETRY: Final = {"retries": 1, "backoff": {"initial": "3m"}}
_LOG: Final = {"type": "log", "message": "x", "retry": _RETRY}
GRAPH: Final = definition(
    actions=[
        {**_LOG, "id": "a", "compensate": [{**_LOG, "id": "undo-a"}, {**_LOG, "id": "undo-2"}]},
        {**_LOG, "id": "b", "needs": ["a"], "forEach": {"items": [1, 2]}, "when": "${ true }"},
        {**_LOG, "id": "c", "needs": ["a"], "onError": "compensate", "when": "${ true }"},
        {**_LOG, "id": "d", "needs": ["c"], "onError": "continue"},
        {**_LOG, "id": "e", "needs": ["b", "d"], "runIf": "failure"},
    ]
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
        for execution in _life(World(GRAPH, seed)):
            found.update(_steps(execution))
    return found


def _life(world: World) -> Iterator[Execution]:
    """Yield an execution after all its life, retries included, and a replay of it."""
    world.live(STEPS)
    world.check_end()
    while world.random.random() < 0.5 and world.retry():
        world.live(STEPS)
        world.check_end()
    yield world.execution
    how = Repeat("again", None, world.random.choice(list(world.plan.actions)))
    yield operations.repeat(world.plan, world.execution, how, world.now, TIMING)


def _steps(execution: Execution) -> Iterator[Step]:
    state = born(execution)
    for event in execution.history[1:]:
        after = transitions.apply(state, event)
        for key in state.actions.keys() | after.actions.keys():
            old, new = state.actions.get(key), after.actions.get(key)
            if old is not new:
                yield Step(event.type, old and old.status, new and new.status)
        state = after
