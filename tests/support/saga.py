"""A workflow with branches, retries and compensations, and what a run of it left to compare."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from shared.domain.engine import next_calls
from shared.domain.execution import ActionState, EventType, Execution, HistoryEvent
from shared.domain.fold import fold
from shared.domain.plan import Plan
from tests.support.destination import Call, Destination
from tests.support.stack import Json, manual, quick_retry

_TAKING: Final = frozenset({EventType.CLAIMED, EventType.RECOVERED})
_PAUSES: Final = frozenset({*_TAKING, EventType.RETRY_SCHEDULED, EventType.WAITING})


def saga(workflow_id: str, destination: Destination) -> Json:
    """S, then A and B; C needs both; D needs A; E needs C and D and fails; F handles the failure.

    What fails once and then succeeds is under way alone, so that no kill hides its failure.
    """

    def call(key: str, path: str, *needs: str, **more: Any) -> Json:
        return destination.to(path, id=key, needs=list(needs), **more)

    def undo(key: str, path: str) -> list[Json]:
        return [destination.to(path, id=f"undo-{key}")]

    return manual(
        workflow_id,
        call("S", "/flaky/1/S"),
        call("A", "/ok", "S", compensate=undo("A", "/flaky/1/undo-A")),
        call("B", "/status/503", "S", onError="continue"),
        call("C", "/slow/0.3", "A", "B", compensate=undo("C", "/ok")),
        call("D", "/slow/${item}", "A", forEach={"items": [0.1, 0.6]}, compensate=undo("D", "/ok")),
        call("E", "/status/400", "C", "D", onError="compensate"),
        call("F", "/ok", "E", runIf="failure"),
        retry=quick_retry(retries=1),
    )


@dataclass(frozen=True)
class Run:
    """What became of one execution, and the calls that arrived where it sent them."""

    plan: Plan
    execution: Execution
    log: tuple[Call, ...]

    @property
    def name(self) -> str:
        return self.execution.workflow_id

    @property
    def keys(self) -> list[str]:
        """Return the key of each call, less the execution that it begins with, as they arrived."""
        own = f"{self.execution.id}:"
        return [call.headers["idempotency-key"].removeprefix(own) for call in self.log]

    @property
    def calls(self) -> Counter[tuple[str, str, str]]:
        """Return how often each call arrived: method, path, key."""
        sent = zip(self.log, self.keys, strict=True)
        return Counter((call.method, call.path, key) for call, key in sent)

    @property
    def undoing(self) -> list[str]:
        """Return the compensations in the order they must have: the last to complete first."""
        done = [e.action for e in self.execution.history if e.type is EventType.ACTION_COMPLETED]
        return [f"undo-{key}" for key in reversed(done) if key in self.plan.undoing]

    @property
    def end(self) -> tuple[Any, ...]:
        """Return all of the final state that does not depend on when things happened."""
        last = self.execution
        actions = {
            key: (*state[:2], state.error, state.reason, state.items, _answer(state))
            for key, state in last.actions.items()
        }
        return last.status, last.error, last.attempt, last.retries_left, last.active_key, actions

    @property
    def steps(self) -> Counter[tuple[Any, ...]]:
        """Return the events that are the same however often the execution changed hands."""
        events = (event for event in self.execution.history if event.type not in _PAUSES)
        return Counter((e.type, e.action, e.attempt, e.error, e.reason, e.items) for e in events)

    def taken_over(self, seq: int) -> HistoryEvent | None:
        """Return how a runner went on with it after event `seq`; None if it had ended by then."""
        later = self.execution.history[seq:]
        return next((event for event in later if event.type in _TAKING), None)

    def under_way(self, recovered: HistoryEvent) -> set[str]:
        """Return the keys of the calls that the lost runner may have made and told nobody of.

        They were ready before its last event and have no outcome after it. What became
        ready by this event cannot have been called: it was killed as it wrote it.
        """
        before = fold(self.execution, recovered.seq - 2)
        left = fold(self.execution, recovered.seq - 1).actions
        ready = (call.key for call in next_calls(self.plan, before, (), recovered.at))
        return {key for key in ready if key not in left or not left[key].ended}


def _answer(state: ActionState) -> dict[str, Any]:
    """Return an output without what differs each time: dates, and how long it took."""
    output = state.output if isinstance(state.output, dict) else {}
    return {name: output[name] for name in output.keys() - {"headers", "durationMs"}}
