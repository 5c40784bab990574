"""Who holds workflows: all of them, also those in slots that a policy does not have any more."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.domain.execution import Execution
from shared.domain.identity import slot_key
from shared.domain.overlap import Crowd, OverlapPolicy
from shared.ports.executions import ExecutionRepository


@dataclass(frozen=True, slots=True)
class Holders:
    """The unfinished executions that hold a workflow, by slot, and what is taken of it."""

    holders: tuple[Execution, ...]
    crowd: Crowd


async def in_slots(executions: ExecutionRepository, key: str, crowd: Crowd) -> list[Execution]:
    """Return those that hold the slots of a crowd, in their order. Raises Unavailable."""
    slots = [slot_key(key, slot) for slot in sorted(crowd.slots)]
    active = await executions.active(slots)
    return [active[slot] for slot in slots if slot in active]


async def holders_of(
    executions: ExecutionRepository, policies: Mapping[str, OverlapPolicy]
) -> Mapping[str, Holders]:
    """Return what holds each workflow, by its key. Raises Unavailable.

    The crowd of one whose policy is plain is not read: it has one slot.
    """
    crowded = [key for key, policy in policies.items() if not policy.is_plain]
    crowds = await executions.crowds(crowded) if crowded else {}
    slots = {
        key: [0] if policy.is_plain else sorted(crowds.get(key, Crowd()).slots)
        for key, policy in policies.items()
    }
    keys = {key: [slot_key(key, slot) for slot in own] for key, own in slots.items()}
    asked = [key for own in keys.values() for key in own]
    active = await executions.active(asked) if asked else {}
    return {
        key: Holders(
            tuple(active[slot] for slot in own if slot in active), crowds.get(key, Crowd())
        )
        for key, own in keys.items()
    }
