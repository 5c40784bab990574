"""Letting new executions in, as far as the overlap policy of their workflow has room for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.domain.execution import Execution
from shared.domain.identity import workflow_key
from shared.domain.overlap import Crowd, OverlapPolicy, Place, Slot, joined
from shared.domain.transitions import buffer, take_slot
from shared.ports.executions import AddOutcome, ExecutionRepository

_ROUNDS: Final = 200
"""So often others may be quicker, each time having got in themselves, before it is given up."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A new execution, queued in the first slot, and the policy of its workflow."""

    execution: Execution
    policy: OverlapPolicy

    @property
    def key(self) -> str:
        """The key of its workflow."""
        return workflow_key(self.execution.tenant, self.execution.workflow_id)


@dataclass(frozen=True, slots=True)
class Admitted:
    """What became of it: as it was added, DUPLICATE, or BUSY if there is no room."""

    execution: Execution
    outcome: AddOutcome


async def crowd_of(executions: ExecutionRepository, key: str) -> Crowd:
    """Return who holds and who waits for a workflow, by its key. Raises Unavailable."""
    return (await executions.crowds([key])).get(key, Crowd())


async def admit(executions: ExecutionRepository, wanted: Sequence[Wanted]) -> list[Admitted]:
    """Add each in a free slot or place; results come in the order given. Raises Unavailable.

    The unique keys decide. Whoever meets a key that has just been taken looks again, so
    one of several always gets on.
    """
    found = {n: Admitted(w.execution, AddOutcome.BUSY) for n, w in enumerate(wanted)}
    # With one slot there is nothing to choose, so there is nothing to read first.
    plain = {n: w.execution for n, w in enumerate(wanted) if w.policy.is_plain}
    found |= await _add(executions, plain)
    left = [n for n in found if n not in plain]
    for _ in range(_ROUNDS):
        if not left:
            break
        placed = await _placed(executions, {n: wanted[n] for n in left})
        added = await _add(executions, placed)
        found |= added
        left = [n for n, result in added.items() if result.outcome is AddOutcome.BUSY]
    return [found[n] for n in range(len(wanted))]


async def _placed(
    executions: ExecutionRepository, wanted: dict[int, Wanted]
) -> dict[int, Execution]:
    """Give each a slot or place that is free now; leave out those for which there is none."""
    crowds = dict(await executions.crowds({w.key for w in wanted.values()}))
    placed = {}
    for n, each in wanted.items():
        crowd = crowds.get(each.key, Crowd())
        room = each.policy.admit(crowd)
        if room is not None:
            crowds[each.key] = joined(crowd, room)
            placed[n] = _with(each.execution, room)
    return placed


def _with(execution: Execution, room: Slot | Place) -> Execution:
    if isinstance(room, Slot):
        return take_slot(execution, room.number)
    return buffer(execution, room.number)


async def _add(executions: ExecutionRepository, given: dict[int, Execution]) -> dict[int, Admitted]:
    if not given:
        return {}
    outcomes = await executions.add(list(given.values()))
    return {
        n: Admitted(execution, outcome)
        for (n, execution), outcome in zip(given.items(), outcomes, strict=True)
    }
