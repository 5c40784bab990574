"""What every ExecutionRepository promises."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.domain import transitions
from shared.domain.execution import (
    ErrorCategory,
    EventType,
    Failure,
    Skip,
    SkipReason,
    Status,
)
from shared.domain.fold import fold
from shared.ports.executions import (
    AddOutcome,
    Change,
    ExecutionQuery,
    ExecutionRepository,
)
from tests.contract.steps import claimed, stored
from tests.support.builders import NOW, SECOND, TENANT, lease, queued

RETENTION = timedelta(days=36_500)
"""So long that MongoDB, whose clock is not the tests', deletes nothing while they look at it."""


async def test_an_added_execution_reads_back_equal(executions: ExecutionRepository) -> None:
    execution = queued(
        input={"a": [1, 2.5, None, True, {"$ref": "x", "$id": 1, "b.c": "ü"}]},
        scheduled_for=NOW,
        request_fingerprint="f",
    )
    assert await executions.add([execution]) == [AddOutcome.ADDED]
    assert await executions.get(TENANT, execution.id) == execution
    assert await executions.get("other-tenant", execution.id) is None
    assert await executions.get(TENANT, "unknown") is None


@pytest.mark.parametrize(
    "reason",
    [
        Skip(SkipReason.MISSED, NOW, NOW + 3 * SECOND, 4),
        Skip(SkipReason.GAP, NOW - SECOND / 1000, NOW - SECOND / 1000, 4),
    ],
    ids=lambda reason: reason.reason.value,
)
async def test_a_skipped_execution_reads_back_equal(
    executions: ExecutionRepository, reason: Skip
) -> None:
    skipped = transitions.skip(queued(), reason, RETENTION)
    await executions.add([skipped])
    assert await executions.get(TENANT, skipped.id) == skipped


async def test_the_unique_keys_decide_who_is_added(executions: ExecutionRepository) -> None:
    first, same_id = queued("1"), queued("1", active_key="default:other")
    busy, other = queued("2"), queued("3", "other")
    both = replace(first, input="another")
    outcomes = await executions.add([first, same_id, busy, other, both])
    assert outcomes == [
        AddOutcome.ADDED,
        AddOutcome.DUPLICATE,
        AddOutcome.BUSY,
        AddOutcome.ADDED,
        AddOutcome.DUPLICATE,
    ]
    assert await executions.add([]) == []


async def test_executions_that_hold_no_workflow_do_not_collide(
    executions: ExecutionRepository,
) -> None:
    free = [queued(str(n), active_key=None) for n in range(3)]
    assert await executions.add(free) == [AddOutcome.ADDED] * 3


async def test_a_claim_does_what_the_transition_says(executions: ExecutionRepository) -> None:
    before = queued(resends=2)
    await executions.add([before])
    now = NOW + SECOND
    claim = await executions.claim([before.id, before.id, "nobody"], lease(), now)
    assert [e.id for e in claim.won] == [before.id]
    assert claim.unknown == 1
    assert await stored(executions, before) == transitions.claim(before, lease(), now)


@pytest.mark.parametrize("event", [EventType.RETRY_SCHEDULED, EventType.WAITING])
async def test_a_claim_takes_what_is_suspended_only_at_its_instant(
    executions: ExecutionRepository, event: EventType
) -> None:
    won = await claimed(executions, queued())
    at = NOW + 5 * SECOND
    waiting = transitions.suspend(won, event, at, NOW)
    await executions.record([Change(won, waiting)])
    early = await executions.claim([won.id], lease("t2"), at - SECOND)
    assert early.won == ()
    late = await executions.claim([won.id], lease("t2"), at)
    assert [e.status for e in late.won] == [Status.RUNNING]
    found = await stored(executions, won)
    assert found.next_attempt_at is None
    assert found.recoveries == 0


async def test_a_claim_takes_over_an_expired_lease_as_a_recovery(
    executions: ExecutionRepository,
) -> None:
    won = await claimed(executions, queued())
    until = NOW + 30 * SECOND
    refused = await executions.claim([won.id], lease("t2"), until - timedelta(milliseconds=1))
    assert refused.won == ()
    claim = await executions.claim([won.id], lease("t2", "other", until + 30 * SECOND), until)
    assert [e.recoveries for e in claim.won] == [1]
    found = await stored(executions, won)
    assert [e.type for e in found.history] == [
        EventType.QUEUED,
        EventType.CLAIMED,
        EventType.RECOVERED,
    ]
    assert claim.recovered == 1
    assert found.history[-1].runner == "other"
    assert found.started_at == NOW


@pytest.mark.parametrize("ahead", [timedelta(), 2 * SECOND])
async def test_what_is_claimed_ahead_of_its_instant_starts_at_it(
    executions: ExecutionRepository, ahead: timedelta
) -> None:
    instant = NOW + ahead
    won = await claimed(executions, queued(scheduled_for=instant))
    found = await stored(executions, won)
    assert won.started_at == found.started_at == instant
    assert found.history[-1].at == NOW
    assert fold(found).started_at == instant


async def test_repeating_a_claim_with_its_token_wins_the_same_again(
    executions: ExecutionRepository,
) -> None:
    await executions.add([queued("1"), queued("2", "other")])
    ids = [queued("1").id, queued("2", "other").id]
    first = await executions.claim(ids[:1], lease(), NOW)
    again = await executions.claim(ids, lease(), NOW)
    assert {e.id for e in again.won} == set(ids)
    assert (await stored(executions, first.won[0])).seq == 2


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
async def test_a_finished_execution_is_never_claimed(
    executions: ExecutionRepository, status: str
) -> None:
    won = await claimed(executions, queued())
    endings = {
        "completed": transitions.complete(won, NOW, RETENTION),
        "failed": transitions.fail(won, Failure(ErrorCategory.PERMANENT, "no"), NOW, RETENTION),
        "cancelled": transitions.cancel(won, NOW, RETENTION),
    }
    await executions.record([Change(won, endings[status])])
    claim = await executions.claim([won.id], lease("t2"), NOW + 1000 * SECOND)
    assert claim.won == ()
    assert claim.unknown == 0


async def test_renewing_moves_the_lease_and_tells_what_is_lost(
    executions: ExecutionRepository,
) -> None:
    mine = await claimed(executions, queued("1"))
    theirs = queued("2", "other")
    await executions.add([theirs])
    await executions.claim([theirs.id], lease("t2", "other-runner"), NOW)
    until = NOW + 60 * SECOND
    lost = await executions.renew("runner", [mine.id, theirs.id, "nobody"], until)
    assert lost == {theirs.id, "nobody"}
    found = await stored(executions, mine)
    assert found.lease is not None
    assert found.lease.until == found.wake_at == until
    assert found.seq == mine.seq
    assert await executions.renew("runner", [mine.id], until) == frozenset()


async def test_finishing_frees_the_workflow(executions: ExecutionRepository) -> None:
    won = await claimed(executions, queued("1"))
    assert await executions.add([queued("2")]) == [AddOutcome.BUSY]
    await executions.record([Change(won, transitions.complete(won, NOW, RETENTION))])
    assert await executions.add([queued("2")]) == [AddOutcome.ADDED]


async def test_due_returns_what_wakes_by_the_horizon_earliest_first(
    executions: ExecutionRepository,
) -> None:
    waking = [queued(str(n), f"w{n}", wake_at=NOW + n * SECOND) for n in (3, 1, 2)]
    done = transitions.skip(queued("4"), Skip(SkipReason.OVERLAP, NOW, NOW, 1), RETENTION)
    await executions.add([*waking, done])
    due = await executions.due(NOW + 2 * SECOND, None, 10)
    assert [(w.workflow_id, w.wake_at) for w in due] == [
        ("w1", NOW + SECOND),
        ("w2", NOW + 2 * SECOND),
    ]
    assert len(await executions.due(NOW + 9 * SECOND, None, 2)) == 2
    one_shard = await executions.due(NOW + 9 * SECOND, [waking[0].shard], 10)
    assert [w.workflow_id for w in one_shard] == ["w3"]


async def test_postponing_moves_only_what_is_still_due(executions: ExecutionRepository) -> None:
    await executions.add([queued("1", "w1", wake_at=NOW), queued("2", "w2", wake_at=NOW)])
    wakes = await executions.due(NOW, None, 10)
    await executions.claim([wakes[0].id], lease(), NOW)
    until = NOW + 30 * SECOND + timedelta(milliseconds=7)
    assert await executions.postpone(wakes, NOW, until, resend=True) == wakes[1:]
    moved = await executions.get(TENANT, wakes[1].id)
    assert moved is not None
    assert (moved.wake_at, moved.resends) == (until, 1)
    soon = NOW + 40 * SECOND
    (wake,) = await executions.postpone(wakes[1:], until, soon, resend=False)
    moved = await executions.get(TENANT, wake.id)
    assert moved is not None
    assert (moved.wake_at, moved.resends) == (soon, 1)


async def test_a_claim_starts_the_resends_anew(executions: ExecutionRepository) -> None:
    won = await claimed(executions, queued(resends=4))
    assert won.resends == 0


async def test_find_lists_newest_first_page_by_page(executions: ExecutionRepository) -> None:
    made = [queued(str(n), f"w{n}", now=NOW + n * SECOND, input="x") for n in range(5)]
    twin = queued("x", "w5", now=NOW + 4 * SECOND)
    await executions.add([*made, twin])
    newest = sorted([*made, twin], key=lambda e: (e.created_at, e.id), reverse=True)
    ids, after = [], None
    while page := await executions.find(ExecutionQuery(tenant=TENANT, limit=2, after=after)):
        assert all(e.input is None and not e.history and not e.actions for e in page)
        ids += [e.id for e in page]
        after = (page[-1].created_at, page[-1].id)
    assert ids == [e.id for e in newest]


async def test_find_filters(executions: ExecutionRepository) -> None:
    made = [queued(str(n), f"w{n}", now=NOW + n * SECOND) for n in range(4)]
    await executions.add(made)
    await executions.claim([made[0].id], lease(), NOW)

    async def ids(**criteria: Any) -> list[str]:
        found = await executions.find(ExecutionQuery(tenant=TENANT, **criteria))
        return [e.workflow_id for e in found]

    assert await ids(workflow_id="w2") == ["w2"]
    assert await ids(statuses=frozenset({Status.RUNNING})) == ["w0"]
    assert await ids(created_from=NOW + SECOND, created_to=NOW + 3 * SECOND) == ["w2", "w1"]
    assert await executions.find(ExecutionQuery(tenant="nobody")) == []


async def test_whole_executions_are_read_page_by_page(executions: ExecutionRepository) -> None:
    made = [queued(str(n), f"w{n}", now=NOW + n * SECOND, input={"n": n}) for n in range(3)]
    await executions.add(made)
    first = await executions.find_whole(ExecutionQuery(tenant=TENANT, limit=2))
    assert first == [made[2], made[1]]
    after = (first[-1].created_at, first[-1].id)
    assert await executions.find_whole(ExecutionQuery(tenant=TENANT, after=after)) == [made[0]]
    of_one = ExecutionQuery(tenant=TENANT, workflow_id="w1")
    assert await executions.find_whole(of_one) == [made[1]]


async def test_active_tells_who_holds_which_workflow(executions: ExecutionRepository) -> None:
    await executions.add([queued("1", "w1"), queued("2", "w2")])
    held = await executions.active(["default:w1", "default:w2", "default:w3"])
    assert {key: e.workflow_id for key, e in held.items()} == {
        "default:w1": "w1",
        "default:w2": "w2",
    }


async def test_orphans_counts_unfinished_executions_that_nothing_would_wake(
    executions: ExecutionRepository,
) -> None:
    await executions.add([queued("1", "w1")])
    assert await executions.orphans() == 0
    await executions.add([queued("2", "w2", wake_at=None)])
    assert await executions.orphans() == 1
