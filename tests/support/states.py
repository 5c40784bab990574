"""The tables of states in decision 11, made from the code; `make docs` writes them.

What becomes of executions is in a table of the code already. What becomes of actions is
seen on walks through the engine, and what an end closes by applying it to every status.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

from shared.domain.execution import ENDED, ActionState, ActionStatus, EventType, Status
from shared.domain.transitions import TRANSITIONS, happen
from tests.support.builders import NOW, queued
from tests.support.walks import Step, steps_of_actions

FILE: Final = Path(__file__).parents[2] / "docs" / "decisions" / "0011-execution-engine.md"
CLOSING: Final = (
    EventType.COMPENSATION_STARTED,
    EventType.CANCEL_REQUESTED,
    EventType.FAILED,
    EventType.CANCELLED,
    EventType.RETRIED,
)
"""The events that change other actions than one."""

ENDED_WITH: Final = (*(s for s in ActionStatus if s in ENDED), ActionStatus.UNKNOWN)
"""What an action may be in an execution that has ended."""

_ORDER: Final = [None, *ActionStatus]
_BLOCK: Final = re.compile(r"(<!-- made by make docs: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def executions() -> Iterator[str]:
    """Yield the table of what an event leads an execution to."""
    yield "| event | of an execution that is | leads to |\n|---|---|---|\n"
    for event, transition in TRANSITIONS.items():
        sources = _listed(status for status in Status if status in transition.sources)
        target = f"`{transition.target}`" if transition.target else "the same"
        yield f"| `{event}` | {sources} | {target} |\n"


def actions() -> Iterator[str]:
    """Yield the table of what an event leads an action to."""
    yield "| event | of an action that is | leads to |\n|---|---|---|\n"
    steps = sorted({*seen(), *closings()}, key=_by_event)
    for (event, after), group in groupby(steps, key=lambda step: (step.event, step.after)):
        sources = _listed(step.before or "new" for step in group)
        yield f"| `{event}` | {sources} | {f'`{after}`' if after else 'forgotten'} |\n"


def seen() -> set[Step]:
    """Return the steps that events of one action made on walks."""
    return {step for step in steps_of_actions() if step.event not in CLOSING}


def closings() -> Iterator[Step]:
    """Yield what becomes of actions when their execution ends, begins to, or is retried."""
    for event in CLOSING:
        status = next(s for s in Status if s in TRANSITIONS[event].sources)
        for before in ENDED_WITH if event is EventType.RETRIED else ActionStatus:
            state = ActionState(before, reason="stopped")
            there = queued(status=status, actions={"a": state})
            after = happen(there, event, NOW).actions.get("a")
            if after is None or after.status is not before:
                yield Step(event, before, after and after.status)


def text(document: str) -> str:
    """Return a document with its tables made anew."""
    tables: dict[str, Callable[[], Iterable[str]]] = {"actions": actions, "executions": executions}
    return _BLOCK.sub(lambda m: f"{m[1]}\n{''.join(tables[m[2]]())}\n{m[3]}", document)


def _by_event(step: Step) -> tuple[int, int, int]:
    events = list(EventType)
    return events.index(step.event), _ORDER.index(step.after), _ORDER.index(step.before)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" if name != "new" else name for name in names)


if __name__ == "__main__":
    FILE.write_text(text(FILE.read_text()))
