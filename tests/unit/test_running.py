"""Running one execution: to its end, or as far as it goes."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from shared.adapters.memory.clock import settle
from shared.domain.execution import ActionState, ActionStatus, ErrorCategory, EventType, Status
from shared.domain.fold import fold
from shared.domain.identity import occurrence_id
from shared.ports.actions import ActionError, PermanentError
from shared.ports.bus import ExecutionWakes, WorkflowFreed
from tests.support.builders import NOW, SECOND, TENANT, queued
from tests.unit.bench import Bench, step, working
from tests.unit.doubles import counted

RETRYABLE, PERMANENT = ErrorCategory.RECOVERABLE, ErrorCategory.PERMANENT


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with working(Bench()) as made:
        yield made


async def test_an_execution_runs_its_actions_in_order_and_completes(bench: Bench) -> None:
    bench.script.tell("a", {"x": 1})
    after = await bench.after(bench.definition("a", "b", "c"))
    assert after.status is Status.COMPLETED
    assert bench.script.called == ["a", "b", "c"]
    assert {key: state.output for key, state in after.actions.items()} == {
        "a": {"x": 1},
        "b": "done",
        "c": "done",
    }
    assert (after.active_key, after.wake_at, after.lease) == (None, None, None)
    assert counted(bench.counters, "executions_total", outcome="completed") == 1


async def test_what_was_claimed_ahead_of_its_instant_begins_at_it(bench: Bench) -> None:
    instant = NOW + SECOND
    holding = await bench.claim(queued(scheduled_for=instant))
    running = asyncio.ensure_future(bench.go(holding, bench.definition("a")))
    await settle()
    await bench.clock.advance(timedelta(milliseconds=999))
    assert bench.script.called == []
    await bench.clock.advance(timedelta(milliseconds=1))
    await running
    after = await bench.stored()
    assert after.actions["a"].started_at == after.started_at == instant
    assert after.lateness == timedelta()


async def test_how_late_it_began_is_told_by_its_first_action(bench: Bench) -> None:
    instant = NOW + SECOND
    claimed = await bench.claim(queued(scheduled_for=instant))
    await bench.clock.advance(SECOND + timedelta(milliseconds=40))
    await bench.go(claimed, bench.definition("a", "b"))
    after = await bench.stored()
    assert after.lateness == timedelta(milliseconds=40)
    assert fold(after).started_at == after.started_at


@pytest.mark.parametrize(("run", "observed"), [(0, 1), (1, 0)])
async def test_the_lateness_of_the_schedule_is_measured_and_that_of_a_backfill_is_not(
    bench: Bench, run: int, observed: int
) -> None:
    instant = NOW - 86_400 * SECOND
    own = occurrence_id(TENANT, "hello", "periodic", instant, run)
    await bench.go(await bench.claim(queued(id=own, scheduled_for=instant)), bench.definition("a"))
    assert counted(bench.counters, "execution_lateness_seconds_count") == observed


async def test_the_history_tells_every_step_once(bench: Bench) -> None:
    after = await bench.after(bench.definition("a", "b"))
    assert [(event.type, event.action) for event in after.history] == [
        (EventType.QUEUED, None),
        (EventType.CLAIMED, None),
        (EventType.ACTION_COMPLETED, "a"),
        (EventType.ACTION_COMPLETED, "b"),
        (EventType.COMPLETED, None),
    ]
    assert [event.seq for event in after.history] == [1, 2, 3, 4, 5]


async def test_an_action_is_told_what_it_runs_for(bench: Bench) -> None:
    failed = ActionState(ActionStatus.PENDING, 2, next_attempt_at=NOW)
    execution = queued(input={"who": "me"}, actions={"a": failed})
    await bench.go(await bench.claim(execution), bench.definition("a"))
    (context,) = bench.script.calls
    assert (context.tenant, context.workflow_id) == (TENANT, "hello")
    assert (context.execution_id, context.action_id) == (execution.id, "a")
    assert (context.attempt, context.input) == (3, {"who": "me"})


async def test_each_outcome_is_stored_before_the_next_action_starts(bench: Bench) -> None:
    async def look() -> bool:
        return (await bench.stored()).is_completed("a")

    bench.script.tell("b", look)
    after = await bench.after(bench.definition("a", "b"))
    assert after.actions["b"].output is True


async def test_a_failure_with_retries_left_leads_to_a_backoff(bench: Bench) -> None:
    bench.script.tell("a", ActionError("HTTP 503"))
    after = await bench.after(bench.definition(step("a", retries=3)))
    assert (after.status, after.attempt, after.retries_left) == (Status.PENDING, 2, 2)
    assert after.next_attempt_at == after.wake_at == NOW + 2 * SECOND
    assert (after.lease, after.active_key) == (None, "default:hello")
    assert after.error is not None
    assert (after.error.category, after.error.message) == (RETRYABLE, "HTTP 503")
    assert bench.wakes == [ExecutionWakes(after.id, TENANT, "hello", NOW + 2 * SECOND)]
    assert counted(bench.counters, "retries_total") == 1


async def test_the_waits_grow_and_the_last_failure_is_final(bench: Bench) -> None:
    definition = bench.definition(step("a", retries=2))
    bench.script.tell("a", *(ActionError(f"HTTP 50{number}") for number in range(3)))
    waits = []
    await bench.executions.add([queued(retries_left=2)])
    for _ in range(2):
        assert (await bench.after(definition)).status is Status.PENDING
        waits.append(await bench.wait_for_retry())
    after = await bench.after(definition)
    assert waits == [2 * SECOND, 4 * SECOND]
    assert (after.status, after.retries_left, after.active_key) == (Status.FAILED, 0, None)
    assert after.error is not None
    assert after.error.message == "HTTP 502"
    assert [context.attempt for context in bench.script.calls] == [1, 2, 3]


async def test_the_key_of_an_action_is_the_same_at_every_attempt(bench: Bench) -> None:
    definition = bench.definition("a", step("b", retries=1))
    bench.script.tell("b", ActionError("no"))
    await bench.after(definition)
    await bench.wait_for_retry()
    await bench.after(definition)
    name = queued().id
    keys = [context.idempotency_key for context in bench.script.calls]
    assert keys == [f"{name}:a", f"{name}:b", f"{name}:b"]


async def test_a_retry_continues_at_the_action_that_failed(bench: Bench) -> None:
    definition = bench.definition("a", step("b", retries=1), "c")
    bench.script.tell("b", ActionError("no"))
    await bench.after(definition)
    await bench.wait_for_retry()
    after = await bench.after(definition)
    assert after.status is Status.COMPLETED
    assert bench.script.called == ["a", "b", "b", "c"]
    assert (after.actions["b"].attempts, after.actions["c"].attempts) == (2, 1)
    assert after.error is None


async def test_every_action_has_retries_of_its_own(bench: Bench) -> None:
    definition = bench.definition(step("a", retries=1), step("b", retries=1))
    bench.script.tell("a", ActionError("no"))
    bench.script.tell("b", ActionError("no"))
    for _ in range(2):
        assert (await bench.after(definition)).status is Status.PENDING
        await bench.wait_for_retry()
    assert (await bench.after(definition)).status is Status.COMPLETED


async def test_a_permanent_failure_is_not_retried(bench: Bench) -> None:
    bench.script.tell("a", PermanentError("HTTP 404"))
    after = await bench.after(bench.definition(step("a", retries=3), "b"))
    assert after.status is Status.FAILED
    assert after.error is not None
    assert (after.error.category, after.error.message) == (PERMANENT, "HTTP 404")
    assert after.actions["a"].status is ActionStatus.FAILED
    assert (bench.script.called, bench.wakes) == (["a"], [])
    assert counted(bench.counters, "executions_total", outcome="failed") == 1


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        (timedelta(seconds=90), timedelta(seconds=90)),
        (timedelta(seconds=1), timedelta(seconds=2)),
        (timedelta(days=3), timedelta(hours=24)),
        (None, timedelta(seconds=2)),
    ],
)
async def test_a_wait_that_was_asked_for_is_honoured(
    bench: Bench, asked: timedelta | None, waited: timedelta
) -> None:
    bench.script.tell("a", ActionError("HTTP 429", retry_after=asked))
    after = await bench.after(bench.definition(step("a", retries=3)))
    assert after.next_attempt_at == after.wake_at == NOW + waited


async def test_the_time_an_action_took_is_recorded(bench: Bench) -> None:
    async def take_time() -> None:
        await bench.clock.advance(3 * SECOND)

    bench.script.tell("a", take_time)
    after = await bench.after(bench.definition("a"))
    state = after.actions["a"]
    assert (state.started_at, state.finished_at) == (NOW, NOW + 3 * SECOND)
    assert after.finished_at == NOW + 3 * SECOND


async def test_an_execution_whose_actions_are_all_done_only_needs_its_end(bench: Bench) -> None:
    first = await bench.claim()
    await bench.go(first, bench.definition("a", "b"))
    state = (await bench.stored()).actions
    again = queued("2", "other", actions=state)
    await bench.go(await bench.claim(again), bench.definition("a", "b"))
    found = await bench.executions.get(TENANT, again.id)
    assert found is not None
    assert found.status is Status.COMPLETED
    assert bench.script.called == ["a", "b"]


@pytest.mark.parametrize(
    ("members", "told"), [({"overlap": "buffer-one"}, [WorkflowFreed(TENANT, "hello")]), ({}, [])]
)
async def test_the_end_is_made_known_where_others_may_wait_for_it(
    bench: Bench, members: dict[str, Any], told: list[WorkflowFreed]
) -> None:
    await bench.after(bench.definition("a", **members))
    assert bench.wakes == told
