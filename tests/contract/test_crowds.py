"""What every ExecutionRepository promises about workflows that several executions may hold."""

from dataclasses import replace

import pytest

from shared.domain import transitions
from shared.domain.execution import Execution, Skip, SkipReason, Status
from shared.domain.fold import differences
from shared.domain.overlap import Crowd, Overlap, OverlapPolicy
from shared.ports.executions import (
    AddOutcome,
    Change,
    ExecutionQuery,
    ExecutionRepository,
    RecordOutcome,
)
from shared.use_cases.admission import Wanted, admit
from tests.contract.steps import stored
from tests.support.builders import NOW, SECOND, TENANT, lease, queued

THREE = OverlapPolicy(Overlap.ALLOW, 3)


def in_slot(name: str, slot: int, workflow_id: str = "hello") -> Execution:
    return transitions.take_slot(transitions.queue(queued(name, workflow_id), NOW), slot)


def waiting(name: str, place: int, workflow_id: str = "hello") -> Execution:
    return transitions.buffer(transitions.queue(queued(name, workflow_id), NOW), place)


async def test_an_execution_in_another_slot_reads_back_equal(
    executions: ExecutionRepository,
) -> None:
    execution = in_slot("1", 2)
    await executions.add([execution])
    assert await stored(executions, execution) == execution
    assert execution.history[0].slot == 2


async def test_each_slot_has_one_holder(executions: ExecutionRepository) -> None:
    several = [in_slot("1", 0), in_slot("2", 1), in_slot("3", 1), in_slot("4", 2)]
    assert await executions.add(several) == [
        AddOutcome.ADDED,
        AddOutcome.ADDED,
        AddOutcome.BUSY,
        AddOutcome.ADDED,
    ]
    held = await executions.active(["default:hello", "default:hello#2", "default:hello#7"])
    assert {key: e.id for key, e in held.items()} == {
        "default:hello": several[0].id,
        "default:hello#2": several[3].id,
    }


async def test_crowds_tell_which_slots_are_taken(executions: ExecutionRepository) -> None:
    neighbours = [in_slot("n", 0, f"hello{end}") for end in ("-", ".", "0", "z", "")]
    await executions.add([*neighbours, in_slot("1", 1), in_slot("2", 10), in_slot("3", 1, "other")])
    crowds = await executions.crowds(["default:hello", "default:other", "default:nobody"])
    assert crowds == {
        "default:hello": Crowd(frozenset({0, 1, 10})),
        "default:other": Crowd(frozenset({1})),
    }
    assert await executions.crowds([]) == {}


async def test_crowds_of_very_many_workflows_are_told(executions: ExecutionRepository) -> None:
    names = [f"w{number}" for number in range(150)]
    await executions.add([in_slot("1", 0, name) for name in names])
    crowds = await executions.crowds([f"default:{name}" for name in names])
    assert len(crowds) == len(names)


async def test_the_end_of_an_execution_frees_its_slot(executions: ExecutionRepository) -> None:
    execution = in_slot("1", 1)
    await executions.add([execution])
    await executions.record([Change(execution, transitions.cancel(execution, NOW, 9_999 * SECOND))])
    assert await executions.crowds(["default:hello"]) == {}
    assert await executions.add([in_slot("2", 1)]) == [AddOutcome.ADDED]


async def test_who_is_admitted_takes_the_lowest_free_slot_while_there_is_one(
    executions: ExecutionRepository,
) -> None:
    await executions.add([in_slot("0", 1)])
    wanted = [Wanted(in_slot(str(n), 0), THREE) for n in range(1, 4)]
    found = await admit(executions, wanted)
    assert [(r.outcome, r.execution.active_key) for r in found] == [
        (AddOutcome.ADDED, "default:hello"),
        (AddOutcome.ADDED, "default:hello#2"),
        (AddOutcome.BUSY, "default:hello"),
    ]
    assert await stored(executions, found[1].execution) == found[1].execution


async def test_who_asks_again_under_the_same_id_is_told_so(
    executions: ExecutionRepository,
) -> None:
    wanted = Wanted(in_slot("1", 0), THREE)
    await admit(executions, [wanted])
    (again,) = await admit(executions, [wanted])
    assert again.outcome is AddOutcome.DUPLICATE
    assert await executions.crowds(["default:hello"]) == {"default:hello": Crowd(frozenset({0}))}


async def test_several_policies_are_minded_in_one_go(executions: ExecutionRepository) -> None:
    await executions.add([in_slot("0", 0, "plain"), in_slot("0", 0, "several")])
    wanted = [
        Wanted(in_slot("1", 0, "plain"), OverlapPolicy()),
        Wanted(in_slot("1", 0, "several"), THREE),
        Wanted(in_slot("1", 0, "free"), OverlapPolicy()),
    ]
    found = await admit(executions, wanted)
    assert [result.outcome for result in found] == [
        AddOutcome.BUSY,
        AddOutcome.ADDED,
        AddOutcome.ADDED,
    ]


async def test_a_buffered_execution_reads_back_equal_and_cannot_be_claimed(
    executions: ExecutionRepository,
) -> None:
    execution = waiting("1", 3)
    await executions.add([execution])
    assert await stored(executions, execution) == execution
    assert (execution.active_key, execution.buffer_key) == (None, "default:hello#3")
    claim = await executions.claim([execution.id], lease(), NOW + 1000 * SECOND)
    assert (claim.won, claim.unknown) == ((), 0)


async def test_each_place_in_a_buffer_has_one_holder(executions: ExecutionRepository) -> None:
    several = [waiting("1", 0), waiting("2", 0), waiting("3", 1), in_slot("4", 1)]
    assert await executions.add(several) == [
        AddOutcome.ADDED,
        AddOutcome.BUSY,
        AddOutcome.ADDED,
        AddOutcome.ADDED,
    ]
    crowds = await executions.crowds(["default:hello", "default:hell"])
    assert crowds == {"default:hello": Crowd(frozenset({1}), frozenset({0, 1}))}


async def test_the_buffered_come_in_the_order_they_came(executions: ExecutionRepository) -> None:
    came = [
        replace(waiting("c", 2), created_at=NOW),
        replace(waiting("b", 0), created_at=NOW, scheduled_for=NOW - 2 * SECOND),
        replace(waiting("a", 1), created_at=NOW, scheduled_for=NOW - SECOND),
        replace(waiting("0", 3), created_at=NOW + SECOND, scheduled_for=NOW - 9 * SECOND),
    ]
    await executions.add([*reversed(came), waiting("x", 0, "hello-2")])
    found = await executions.buffered("default:hello", 10)
    assert found == [replace(e, history=(), input=None) for e in came]
    assert [e.id for e in await executions.buffered("default:hello", 2)] == [
        came[0].id,
        came[1].id,
    ]


async def test_promoting_takes_a_slot_and_frees_the_place(executions: ExecutionRepository) -> None:
    execution = replace(waiting("1", 2), input={"n": 1})
    await executions.add([execution])
    (found,) = await executions.buffered("default:hello", 1)
    change = Change(found, transitions.promote(found, 1, NOW, NOW + SECOND))
    assert await executions.record([change]) == [RecordOutcome.APPLIED]
    after = await stored(executions, execution)
    assert after == transitions.promote(execution, 1, NOW, NOW + SECOND)
    assert differences(after) == []
    assert await executions.record([change]) == [RecordOutcome.REFUSED]
    assert await executions.crowds(["default:hello"]) == {"default:hello": Crowd(frozenset({1}))}
    assert [e.id for e in (await executions.claim([after.id], lease(), NOW)).won] == [after.id]


async def test_promoting_into_a_slot_that_is_taken_changes_nothing(
    executions: ExecutionRepository,
) -> None:
    execution = waiting("1", 0)
    await executions.add([execution, in_slot("2", 1)])
    change = Change(execution, transitions.promote(execution, 1, NOW, NOW))
    assert await executions.record([change]) == [RecordOutcome.BUSY]
    assert await stored(executions, execution) == execution


async def test_cancelling_what_is_buffered_frees_its_place(
    executions: ExecutionRepository,
) -> None:
    execution = waiting("1", 0)
    await executions.add([execution])
    cancelled = transitions.cancel(execution, NOW, 9_999_999 * SECOND)
    assert await executions.record([Change(execution, cancelled)]) == [RecordOutcome.APPLIED]
    assert differences(await stored(executions, execution)) == []
    assert await executions.add([waiting("2", 0)]) == [AddOutcome.ADDED]


async def test_what_is_buffered_is_due_like_all_that_is_unfinished(
    executions: ExecutionRepository,
) -> None:
    await executions.add([waiting("1", 0), in_slot("2", 0)])
    due = await executions.due(NOW, None, 10)
    assert {wake.id: wake.buffered for wake in due} == {
        waiting("1", 0).id: True,
        in_slot("2", 0).id: False,
    }
    assert await executions.orphans() == 0
    await executions.add([replace(waiting("3", 1), wake_at=None)])
    assert await executions.orphans() == 1


@pytest.mark.parametrize(
    ("statuses", "found"),
    [({Status.BUFFERED}, ["1"]), ({Status.BUFFERED, Status.QUEUED}, ["1", "2"]), (set(), None)],
)
async def test_what_is_buffered_is_found_by_its_status(
    executions: ExecutionRepository, statuses: set[Status], found: list[str] | None
) -> None:
    await executions.add([waiting("1", 0), in_slot("2", 0)])
    query = ExecutionQuery(tenant=TENANT, statuses=frozenset(statuses))
    listed = await executions.find(query)
    assert sorted(e.id.rpartition(":")[2] for e in listed) == (found or ["1", "2"])


async def test_who_finds_no_slot_is_buffered_and_nobody_overtakes_those_who_wait(
    executions: ExecutionRepository,
) -> None:
    policy = OverlapPolicy(Overlap.BUFFER_ALL, 1, 2)
    first = await admit(executions, [Wanted(in_slot(str(n), 0), policy) for n in range(4)])
    assert [(r.outcome, r.execution.status) for r in first] == [
        (AddOutcome.ADDED, Status.QUEUED),
        (AddOutcome.ADDED, Status.BUFFERED),
        (AddOutcome.ADDED, Status.BUFFERED),
        (AddOutcome.BUSY, Status.QUEUED),
    ]
    ended = first[0].execution
    await executions.record([Change(ended, transitions.cancel(ended, NOW, 9_999_999 * SECOND))])
    promoted = first[1].execution
    await executions.record([Change(promoted, transitions.cancel(promoted, NOW, 9_999 * SECOND))])
    (late,) = await admit(executions, [Wanted(in_slot("late", 0), policy)])
    assert late.execution.status is Status.BUFFERED


async def test_what_is_superseded_reads_back_equal_and_frees_its_place(
    executions: ExecutionRepository,
) -> None:
    execution = waiting("1", 0)
    await executions.add([execution])
    skipped = transitions.supersede(execution, NOW, 9_999_999 * SECOND)
    assert await executions.record([Change(execution, skipped)]) == [RecordOutcome.APPLIED]
    found = await stored(executions, execution)
    assert found == skipped
    assert found.skip == Skip(SkipReason.SUPERSEDED, NOW, NOW, 1)
    assert (differences(found), await executions.crowds(["default:hello"])) == ([], {})
