"""Whole lives of executions, at random: whatever happens in whatever order, these things hold.

A world has one execution of a random graph, runners that claim, crash and stop, a user
who cancels and answers, and time that passes. The engine decides; the world only obeys.
"""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.definition import WorkflowDefinition
from tests.support.builders import definition
from tests.support.world import World

RUN_IF = st.sampled_from(["success", "success", "success", "failure", "always"])
ON_ERROR = st.sampled_from(["stop", "stop", "continue", "compensate", "retry"])


@st.composite
def graphs(draw: st.DrawFn) -> WorkflowDefinition:
    """A workflow of a few actions, each needing some of those before it."""
    connected = draw(st.booleans())
    actions: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 5))):
        action: dict[str, Any] = {"id": f"a{number}", "type": "log", "message": "x"}
        if connected:
            before = [f"a{n}" for n in range(number)]
            action["needs"] = draw(st.lists(st.sampled_from(before), unique=True)) if before else []
        action |= {
            "runIf": draw(RUN_IF),
            "onError": draw(ON_ERROR),
            "retry": {"retries": draw(st.integers(0, 2))},
        }
        if draw(st.integers(0, 4)) == 0:
            action["forEach"] = {"items": ["x"] * draw(st.integers(0, 3)), "concurrency": 2}
        if draw(st.integers(0, 4)) == 0:
            action["when"] = "${ true }"
        if draw(st.integers(0, 2)) == 0:
            undo = {"id": f"u{number}", "type": "log", "message": "undo", "retry": {"retries": 1}}
            action["compensate"] = [undo]
        actions.append(action)
    timeout = {"timeout": "3m"} if draw(st.booleans()) else {}
    return definition(actions=actions, concurrency=draw(st.integers(1, 3)), **timeout)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("_quarter", range(4))
@settings(max_examples=2_500, deadline=None)
@given(graph=graphs(), seed=st.integers(0, 2**32), steps=st.integers(0, 40))
def test_whatever_happens_an_execution_ends_and_its_history_tells_all(
    _quarter: int, graph: WorkflowDefinition, seed: int, steps: int
) -> None:
    """Ten thousand lives, in four parts that may run side by side."""
    world = World(graph, seed)
    world.live(steps)
    world.check_end()
