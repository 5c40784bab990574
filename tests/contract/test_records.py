"""What every ExecutionRepository promises of recording: once, fenced, each change on its own."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain import transitions
from shared.domain.execution import ErrorCategory, EventType, Execution, Failure, Status
from shared.ports.executions import AddOutcome, Change, ExecutionRepository, RecordOutcome
from tests.contract.steps import claimed, stored
from tests.support.builders import NOW, SECOND, TENANT, lease, queued

RETENTION = timedelta(days=36_500)
"""So long that MongoDB, whose clock is not the tests', deletes nothing while they look at it."""


async def test_a_change_is_applied_once_with_its_events(executions: ExecutionRepository) -> None:
    won = await claimed(executions, queued())
    done = transitions.complete_action(
        won, "log-1", attempt=1, started_at=NOW, output={"$set": {"a.b": 1}}, now=NOW + SECOND
    )
    ended = transitions.complete(done, NOW + SECOND, RETENTION)
    change = Change(won, ended)
    assert await executions.record([change]) == [RecordOutcome.APPLIED]
    found = await stored(executions, won)
    assert found == replace(ended, history=found.history)
    assert [e.type for e in found.history] == [
        EventType.QUEUED,
        EventType.CLAIMED,
        EventType.ACTION_COMPLETED,
        EventType.COMPLETED,
    ]
    assert found.actions["log-1"].output == {"$set": {"a.b": 1}}
    assert await executions.record([change]) == [RecordOutcome.APPLIED]
    assert await executions.get(TENANT, won.id) == found


async def test_a_step_leaves_the_renewed_lease_alone(executions: ExecutionRepository) -> None:
    won = await claimed(executions, queued())
    until = NOW + 60 * SECOND
    await executions.renew("runner", [won.id], until)
    first = transitions.complete_action(won, "a", attempt=1, started_at=NOW, output=1, now=NOW)
    assert await executions.record([Change(won, first)]) == [RecordOutcome.APPLIED]
    assert await executions.record([Change(won, first)]) == [RecordOutcome.APPLIED]
    second = transitions.complete_action(first, "b", attempt=1, started_at=NOW, output=2, now=NOW)
    assert await executions.record([Change(first, second)]) == [RecordOutcome.APPLIED]
    found = await stored(executions, won)
    assert found.wake_at == until
    assert {key: state.output for key, state in found.actions.items()} == {"a": 1, "b": 2}


async def test_a_late_result_is_refused_by_the_fence(executions: ExecutionRepository) -> None:
    stale = await claimed(executions, queued())
    later = NOW + 31 * SECOND
    await executions.claim([stale.id], lease("t2", "other", later + 30 * SECOND), later)
    late = Change(stale, transitions.complete(stale, later, RETENTION))
    before = await stored(executions, stale)
    assert await executions.record([late]) == [RecordOutcome.REFUSED]
    assert await executions.get(TENANT, stale.id) == before


async def test_a_result_after_a_cancellation_is_refused(executions: ExecutionRepository) -> None:
    won = await claimed(executions, queued())
    cancelled = Change(won, transitions.cancel(won, NOW, RETENTION))
    assert await executions.record([cancelled]) == [RecordOutcome.APPLIED]
    step = transitions.complete_action(won, "a", attempt=1, started_at=NOW, output=1, now=NOW)
    late = transitions.complete(step, NOW, RETENTION)
    assert await executions.record([Change(won, late)]) == [RecordOutcome.REFUSED]
    assert (await stored(executions, won)).status is Status.CANCELLED


async def test_a_cancellation_that_met_a_step_of_the_runner_is_refused(
    executions: ExecutionRepository,
) -> None:
    """Both carry the runner's token and the same seq, but lead elsewhere."""
    won = await claimed(executions, queued())
    step = transitions.complete_action(won, "a", attempt=1, started_at=NOW, output=1, now=NOW)
    assert await executions.record([Change(won, step)]) == [RecordOutcome.APPLIED]
    cancelled = transitions.cancel(won, NOW, RETENTION)
    assert await executions.record([Change(won, cancelled)]) == [RecordOutcome.REFUSED]
    assert (await stored(executions, won)).status is Status.RUNNING


async def test_a_step_that_met_a_cancellation_is_refused(executions: ExecutionRepository) -> None:
    won = await claimed(executions, queued())
    cancelled = transitions.cancel(won, NOW, RETENTION)
    assert await executions.record([Change(won, cancelled)]) == [RecordOutcome.APPLIED]
    step = transitions.complete_action(won, "a", attempt=1, started_at=NOW, output=1, now=NOW)
    assert await executions.record([Change(won, step)]) == [RecordOutcome.REFUSED]


async def test_one_late_result_among_many_alike_is_refused_alone(
    executions: ExecutionRepository,
) -> None:
    won = [await claimed(executions, queued(str(n), f"w{n}")) for n in range(6)]
    later = NOW + 31 * SECOND
    await executions.claim([won[3].id], lease("t2", "other", later + 30 * SECOND), later)
    changes = [Change(e, transitions.complete(e, later, RETENTION)) for e in won]
    outcomes = await executions.record(changes)
    assert outcomes.pop(3) is RecordOutcome.REFUSED
    assert set(outcomes) == {RecordOutcome.APPLIED}
    assert (await stored(executions, won[3])).status is Status.RUNNING
    assert {(await stored(executions, e)).status for e in won if e is not won[3]} == {
        Status.COMPLETED
    }


async def test_cancelling_what_a_runner_took_meanwhile_is_refused(
    executions: ExecutionRepository,
) -> None:
    execution = queued()
    await claimed(executions, execution)
    stale = Change(execution, transitions.cancel(execution, NOW, RETENTION))
    assert await executions.record([stale]) == [RecordOutcome.REFUSED]


@pytest.mark.parametrize(
    "output",
    [2**70, "\ud800", {"a\0b": 1}, "x" * (20 * 2**20)],
    ids=["int70", "surrogate", "nul-key", "20MB"],
)
async def test_an_output_that_cannot_be_stored_fails_alone(
    executions: ExecutionRepository, output: Any
) -> None:
    changes = []
    for name, value in {"1": "fine", "2": output, "3": "fine"}.items():
        won = await claimed(executions, queued(name, f"w{name}"))
        done = transitions.complete_action(
            won, "a", attempt=1, started_at=NOW, output=value, now=NOW
        )
        changes.append(Change(won, transitions.complete(done, NOW, RETENTION)))
    assert await executions.record(changes) == [
        RecordOutcome.APPLIED,
        RecordOutcome.UNSERIALISABLE,
        RecordOutcome.APPLIED,
    ]
    assert (await stored(executions, changes[1].before)).status is Status.RUNNING


async def test_an_update_that_makes_a_document_too_large_fails_alone(
    executions: ExecutionRepository,
) -> None:
    """Each output is small enough to travel; only the database sees what they come to."""
    large, other = [await claimed(executions, queued(n, f"w{n}")) for n in "12"]
    output = "x" * (6 * 2**20)
    for number in range(2):
        step = transitions.complete_action(
            large, f"a{number}", attempt=1, started_at=NOW, output=output, now=NOW
        )
        assert await executions.record([Change(large, step)]) == [RecordOutcome.APPLIED]
        large = step.evolve(history=())
    third = transitions.complete_action(
        large, "a2", attempt=1, started_at=NOW, output=output, now=NOW
    )
    done = transitions.complete(other, NOW, RETENTION)
    outcomes = await executions.record([Change(large, third), Change(other, done)])
    assert outcomes == [RecordOutcome.UNSERIALISABLE, RecordOutcome.APPLIED]
    assert set((await stored(executions, large)).actions) == {"a0", "a1"}


def _failed(execution: Execution) -> Execution:
    failure = Failure(ErrorCategory.PERMANENT, "no")
    return transitions.fail(execution, failure, NOW, RETENTION)


def _retried(failed: Execution) -> Execution:
    retried = transitions.happen(failed, EventType.RETRIED, NOW, retries_left=3)
    return transitions.requeue(retried, NOW)


async def test_a_retry_takes_the_workflow_again(executions: ExecutionRepository) -> None:
    won = await claimed(executions, queued("1"))
    await executions.record([Change(won, _failed(won))])
    failed = await stored(executions, won)
    retry = Change(failed, _retried(failed))
    assert await executions.record([retry]) == [RecordOutcome.APPLIED]
    assert await executions.add([queued("2")]) == [AddOutcome.BUSY]
    assert await stored(executions, won) == retry.after


async def test_what_would_take_a_held_workflow_is_refused_alone(
    executions: ExecutionRepository,
) -> None:
    won = [await claimed(executions, queued(str(n), f"w{n}")) for n in range(3)]
    await executions.record([Change(e, _failed(e)) for e in won])
    failed = [await stored(executions, e) for e in won]
    await executions.add([queued("holder", "w1")])
    other = await claimed(executions, queued("other", "other"))
    changes = [
        *(Change(e, _retried(e)) for e in failed),
        Change(other, transitions.complete(other, NOW, RETENTION)),
    ]
    outcomes = await executions.record(changes)
    assert outcomes == [
        RecordOutcome.APPLIED,
        RecordOutcome.BUSY,
        RecordOutcome.APPLIED,
        RecordOutcome.APPLIED,
    ]
    assert await stored(executions, failed[1]) == failed[1]
    assert (await stored(executions, other)).status is Status.COMPLETED


async def test_a_stale_change_is_refused_before_its_workflow_is_found_busy(
    executions: ExecutionRepository,
) -> None:
    won = await claimed(executions, queued("1"))
    await executions.record([Change(won, _failed(won))])
    failed = await stored(executions, won)
    await executions.record([Change(failed, _retried(failed))])
    again = await claimed(executions, await stored(executions, won))
    await executions.record([Change(again, _failed(again))])
    await executions.add([queued("2")])
    stale = Change(failed, _retried(failed))
    assert await executions.record([stale]) == [RecordOutcome.REFUSED]


async def test_a_held_workflow_and_an_oversized_document_in_one_batch_fail_alone(
    executions: ExecutionRepository,
) -> None:
    large, other, held = [await claimed(executions, queued(n, f"w{n}")) for n in "123"]
    output = "x" * (6 * 2**20)
    for number in range(2):
        step = transitions.complete_action(
            large, f"a{number}", attempt=1, started_at=NOW, output=output, now=NOW
        )
        await executions.record([Change(large, step)])
        large = step.evolve(history=())
    third = transitions.complete_action(
        large, "a2", attempt=1, started_at=NOW, output=output, now=NOW
    )
    await executions.record([Change(held, _failed(held))])
    failed = await stored(executions, held)
    await executions.add([queued("holder", "w3")])
    done = transitions.complete(other, NOW, RETENTION)
    changes = [Change(large, third), Change(other, done), Change(failed, _retried(failed))]
    assert await executions.record(changes) == [
        RecordOutcome.UNSERIALISABLE,
        RecordOutcome.APPLIED,
        RecordOutcome.BUSY,
    ]
