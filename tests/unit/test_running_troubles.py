"""Running one execution when things go wrong: bugs, lost leases, refusals, aborts, a stop."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pydantic import JsonValue

from runner_svc.use_cases.holding import Holding
from shared.adapters.memory.clock import settle
from shared.adapters.memory.executions import MemoryExecutions
from shared.domain import transitions
from shared.domain.definition import WorkflowDefinition
from shared.domain.execution import ErrorCategory, EventType, Failure, Status
from shared.domain.outcomes import Timing
from shared.domain.plan import Plan
from shared.domain.storable import MAX_OUTPUT
from shared.domain.transitions import is_claimable
from shared.ports.actions import ActionError
from shared.ports.bus import ExecutionRequest
from shared.ports.executions import Change, RecordOutcome
from tests.support.builders import NOW, SECOND, TENANT, lease, queued
from tests.unit.bench import Bench, step, working
from tests.unit.doubles import counted

MONTH = timedelta(days=30)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with working(Bench()) as made:
        yield made


class PickyExecutions(MemoryExecutions):
    """Cannot hold one particular output, for a reason that only a database knows."""

    async def record(self, changes: Sequence[Change]) -> list[RecordOutcome]:
        (change,) = changes
        if any(state.output == "too much" for state in change.after.actions.values()):
            return [RecordOutcome.UNSERIALISABLE]
        return await super().record(changes)


async def _aborted(bench: Bench, holding: Holding, definition: WorkflowDefinition) -> None:
    """Run an execution, and abort it in the middle of its action."""
    task = asyncio.ensure_future(bench.go(holding, definition))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def _for_ever() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    "bug", [RuntimeError("oops"), KeyError("x"), TimeoutError(), AssertionError(), RecursionError()]
)
async def test_a_bug_of_an_action_is_a_retryable_failure(bench: Bench, bug: Exception) -> None:
    bench.script.tell("a", bug)
    after = await bench.after(bench.definition(step("a", retries=1)))
    assert after.status is Status.PENDING
    assert after.error is not None
    assert after.error.category is ErrorCategory.RECOVERABLE
    assert after.error.message == f"{type(bug).__name__}: {bug}"


async def test_a_very_long_message_is_cut(bench: Bench) -> None:
    bench.script.tell("a", RuntimeError("x" * 100_000))
    after = await bench.after(bench.definition(step("a", retries=0)))
    assert after.error is not None
    assert len(after.error.message) == 2000


@pytest.mark.parametrize(
    ("output", "saying"),
    [
        (2**70, "64 bits"),
        ("\ud800", "surrogate"),
        ({"a\0b": 1}, "key"),
        (float("nan"), "finite"),
        ("x" * (MAX_OUTPUT - 4), "1048577 bytes"),
        ({1, 2}, "set"),
        (object(), "object"),
    ],
    ids=["integer", "surrogate", "key", "nan", "large", "set", "object"],
)
async def test_an_output_that_cannot_be_kept_fails_for_good(
    bench: Bench, output: Any, saying: str
) -> None:
    bench.script.tell("a", output)
    after = await bench.after(bench.definition(step("a", retries=3)))
    assert after.status is Status.FAILED
    assert after.error is not None
    assert after.error.category is ErrorCategory.OUTPUT_UNSERIALISABLE
    assert saying in after.error.message


async def test_what_only_the_storage_finds_too_much_fails_that_execution_for_good() -> None:
    async with working(Bench(executions=PickyExecutions())) as bench:
        bench.script.tell("b", "too much")
        after = await bench.after(bench.definition("a", step("b", retries=3)))
        assert (after.status, after.active_key) == (Status.FAILED, None)
        assert after.error is not None
        assert after.error.category is ErrorCategory.OUTPUT_UNSERIALISABLE
        assert after.is_completed("a")


@pytest.mark.parametrize("recoveries", [6, 9])
async def test_an_execution_that_lost_too_many_runners_is_given_up(
    bench: Bench, recoveries: int
) -> None:
    await bench.go(await bench.claim(queued(recoveries=recoveries)), bench.definition("a"))
    after = await bench.stored()
    assert (after.status, after.active_key) == (Status.FAILED, None)
    assert after.error is not None
    assert after.error.category is ErrorCategory.RUNNER_LOST
    assert bench.script.called == []


async def test_an_execution_that_lost_as_many_runners_as_allowed_still_runs(bench: Bench) -> None:
    await bench.go(await bench.claim(queued(recoveries=5)), bench.definition("a"))
    assert (await bench.stored()).status is Status.COMPLETED


async def test_an_execution_without_its_definition_fails_and_says_so(bench: Bench) -> None:
    after = await bench.after(None)
    assert after.status is Status.FAILED
    assert after.error is not None
    assert after.error.category is ErrorCategory.PERMANENT
    assert after.error.message == "version 1 of workflow 'hello' is gone"


async def test_an_action_that_this_runner_does_not_know_fails_for_good(bench: Bench) -> None:
    document: dict[str, JsonValue] = {
        "workflowId": "hello",
        "trigger": {"type": "manual"},
        "actions": [{"id": "a", "type": "strange", "more": 1}],
    }
    after = await bench.after(bench.registry.catalogue.restore(document))
    assert after.status is Status.FAILED
    assert after.error is not None
    assert "knows no action 'strange'" in after.error.message


@pytest.mark.parametrize(
    ("lease_seconds", "passed", "runs"),
    [(30, 28, True), (30, 29.5, False), (2, 1.2, True), (2, 1.6, False)],
)
async def test_close_to_the_end_of_its_lease_a_runner_starts_no_action(
    lease_seconds: int, passed: float, *, runs: bool
) -> None:
    async with working(Bench(timing=Timing(lease=lease_seconds * SECOND))) as bench:
        holding = await bench.claim()
        await bench.clock.advance(timedelta(seconds=passed))
        await bench.go(holding, bench.definition("a"))
        assert bool(bench.script.called) is runs
        assert counted(bench.counters, "leases_lost_total") == int(not runs)
        assert (await bench.stored()).status is (Status.COMPLETED if runs else Status.RUNNING)


async def test_a_lease_that_was_renewed_meanwhile_allows_the_next_action(bench: Bench) -> None:
    holding = await bench.claim()

    async def take_long() -> None:
        await bench.clock.advance(60 * SECOND)
        holding.lease_until = bench.clock.now() + 30 * SECOND

    bench.script.tell("a", take_long)
    await bench.go(holding, bench.definition("a", "b"))
    assert bench.script.called == ["a", "b"]


async def test_a_late_result_changes_nothing_and_no_further_action_starts(bench: Bench) -> None:
    async def lose_it() -> None:
        later = NOW + 31 * SECOND
        await bench.executions.claim(
            [queued().id], lease("another", until=later + 30 * SECOND), later
        )

    bench.script.tell("a", lose_it)
    after = await bench.after(bench.definition("a", "b"))
    assert (after.status, bench.script.called) == (Status.RUNNING, ["a"])
    assert after.lease is not None
    assert (after.lease.token, dict(after.actions)) == ("another", {})
    assert counted(bench.counters, "late_results_rejected_total") == 1


async def test_what_was_cancelled_meanwhile_stays_cancelled(bench: Bench) -> None:
    async def cancel() -> None:
        before = await bench.stored()
        after = transitions.cancel(before, NOW, MONTH)
        await bench.executions.record([Change(before, after)])

    bench.script.tell("a", cancel)
    after = await bench.after(bench.definition("a"))
    assert (after.status, dict(after.actions)) == (Status.CANCELLED, {})
    assert counted(bench.counters, "late_results_rejected_total") == 1
    assert counted(bench.counters, "executions_total", outcome="completed") == 0


async def test_a_runner_that_stops_gives_back_what_it_has_not_begun(bench: Bench) -> None:
    holding = await bench.claim()
    bench.stopping = True
    await bench.go(holding, bench.definition("a"))
    after = await bench.stored()
    assert (after.status, after.lease, after.wake_at) == (Status.QUEUED, None, NOW)
    assert is_claimable(after, NOW)
    assert bench.script.called == []
    assert bench.requests == [ExecutionRequest(after.id, TENANT, "hello", NOW)]


async def test_a_runner_that_stops_begins_what_is_due_while_it_waits_for_its_instant(
    bench: Bench,
) -> None:
    holding = await bench.claim(queued(scheduled_for=NOW + SECOND))
    running = asyncio.create_task(bench.go(holding, bench.definition("a", "b")))
    await settle()
    bench.stopping = True
    await bench.clock.advance(SECOND)
    await running
    after = await bench.stored()
    assert (after.status, bench.script.called) == (Status.QUEUED, ["a"])


async def test_a_runner_that_stops_ends_the_action_under_way_and_gives_back_the_rest(
    bench: Bench,
) -> None:
    async def stop() -> str:
        bench.stopping = True
        return "finished"

    bench.script.tell("a", stop)
    after = await bench.after(bench.definition("a", "b"))
    assert (after.status, bench.script.called) == (Status.QUEUED, ["a"])
    assert after.actions["a"].output == "finished"
    bench.stopping = False
    assert (await bench.after(bench.definition("a", "b"))).status is Status.COMPLETED
    assert bench.script.called == ["a", "b"]


async def test_what_is_aborted_while_the_runner_stops_is_given_back(bench: Bench) -> None:
    async def stop_in_vain() -> None:
        bench.stopping = True
        await _for_ever()

    bench.script.tell("a", stop_in_vain)
    await _aborted(bench, await bench.claim(), bench.definition("a"))
    after = await bench.stored()
    assert (after.status, after.history[-1].type) == (Status.QUEUED, EventType.RELEASED)
    assert [request.execution_id for request in bench.requests] == [after.id]


async def test_what_is_aborted_because_it_was_lost_is_left_as_it_is(bench: Bench) -> None:
    bench.script.tell("a", _for_ever)
    holding = await bench.claim()
    before = await bench.stored()
    await _aborted(bench, holding, bench.definition("a"))
    assert await bench.stored() == before
    assert (bench.requests, holding.recording) == ([], False)


async def test_an_action_that_cancels_itself_has_failed_like_any_other(bench: Bench) -> None:
    bench.script.tell("a", asyncio.CancelledError())
    after = await bench.after(bench.definition("a"))
    assert after.status is Status.PENDING
    assert after.error == Failure(ErrorCategory.RECOVERABLE, "the action cancelled itself")


async def test_a_failure_is_kept_whatever_its_message(bench: Bench) -> None:
    bench.script.tell("a", ActionError("no file named '\udcff'"))
    after = await bench.after(bench.definition(step("a", retries=3)))
    assert after.status is Status.PENDING
    assert after.error == Failure(ErrorCategory.RECOVERABLE, "no file named '\\udcff'")


async def test_nothing_more_runs_of_what_was_cancelled_meanwhile(bench: Bench) -> None:
    async def cancel() -> None:
        before = await bench.stored()
        after = transitions.cancel(before, NOW, MONTH)
        await bench.executions.record([Change(before, after)])

    bench.script.tell("a", cancel)
    after = await bench.after(bench.definition("a", "b"))
    assert (after.status, bench.script.called) == (Status.CANCELLED, ["a"])


async def test_a_bug_of_the_runner_itself_takes_nobody_else_down(bench: Bench) -> None:
    broken = replace(bench.run, spread=lambda: 1 / 0)
    await broken(await bench.claim(), Plan(bench.definition("a")))
    assert (await bench.stored()).status is Status.RUNNING


async def test_while_an_outcome_is_written_the_holding_says_so() -> None:
    bench = Bench()
    holding = await bench.claim()
    task = asyncio.ensure_future(bench.go(holding, bench.definition("a")))
    await settle()
    assert holding.recording
    async with working(bench):
        await task
    assert not holding.recording
