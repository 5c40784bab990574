"""Pausing what only fails: decided from storage, before the next fire."""

from datetime import datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared.domain import transitions
from shared.domain.catalogue import normalised
from shared.domain.errors import InvalidInput
from shared.domain.execution import ErrorCategory, Execution, Failure, Status
from shared.domain.pause import Pause
from shared.domain.pausing import failing, resume
from shared.domain.workflow import Workflow
from shared.ports.executions import Change
from tests.support.builders import NOW, SECOND, TENANT, definition, lease, queued, workflow
from tests.support.builders import running as claimed
from tests.unit.doubles import counted
from tests.unit.test_firing import DUE, HELLO, Rig

NO = Failure(ErrorCategory.PERMANENT, "no")


def ended(status: Status, name: str = "1") -> Execution:
    return claimed(name).evolve(status=status)


@pytest.mark.parametrize(
    ("limit", "letters", "said"),
    [
        (1, "f", "an execution failed, the last: default:hello:manual:0"),
        (3, "fff", "3 executions in a row failed, the last: default:hello:manual:0"),
        (2, "ffc", "2 executions in a row failed, the last: default:hello:manual:0"),
        (3, "ff", None),
        (3, "ffc", None),
        (3, "cff", None),
        (2, "fx", None),
        (1, "", None),
    ],
)
def test_only_failures_in_a_row_halt_a_schedule(limit: int, letters: str, said: str | None) -> None:
    statuses = {"f": Status.FAILED, "c": Status.COMPLETED, "x": Status.CANCELLED}
    found = [ended(statuses[letter], str(n)) for n, letter in enumerate(letters)]
    assert failing(limit, found) == said


def test_the_normalised_definition_has_the_limit_only_if_it_was_given() -> None:
    assert "pauseOnFailure" not in normalised(definition())
    assert normalised(definition(pauseOnFailure=3))["pauseOnFailure"] == 3
    for wrong in (0, 101, "3", 1.5, True):
        with pytest.raises(InvalidInput, match="/pauseOnFailure"):
            definition(pauseOnFailure=wrong)


class Failing(Rig):
    """A scheduler whose workflow fails each time it runs."""

    async def define(self, limit: int | None = 2) -> None:
        more: dict[str, Any] = {"pauseOnFailure": limit} if limit else {}
        await self.workflows.add(workflow("hello", interval="10s", **more))

    async def run(self, times: int, *, fails: bool = True) -> list[datetime]:
        """Let instants come, and what fires at them end; return those that fired."""
        fired: list[datetime] = []
        for _ in range(times):
            await self.clock.advance(10 * SECOND)
            await self.fire([HELLO])
            active = await self.executions.active(["default:hello"])
            for execution in active.values():
                await self.end(execution, fails=fails)
                fired += [execution.scheduled_for] if execution.scheduled_for else []
        return fired

    async def end(self, execution: Execution, *, fails: bool) -> None:
        now = self.clock.now()
        (won,) = (await self.executions.claim([execution.id], lease(until=now), now)).won
        day = 86_400 * SECOND
        after = (
            transitions.fail(won, NO, now, day) if fails else transitions.complete(won, now, day)
        )
        await self.executions.record([Change(won, after)])

    async def stored(self) -> Workflow:
        found = await self.workflows.get(TENANT, "hello")
        assert found is not None
        return found

    async def resume(self) -> None:
        halted = await self.stored()
        on, _ = resume(halted, self.clock.now())
        assert await self.workflows.save(halted, on)


@pytest.fixture
def rig() -> Failing:
    return Failing()


async def test_after_so_many_failures_the_schedule_is_paused_instead_of_fired(
    rig: Failing,
) -> None:
    await rig.define()
    with capture_logs() as logs:
        assert await rig.run(5) == [DUE, DUE + 10 * SECOND]
    last = "default:hello:periodic:2026-01-01T00:00:20.000Z:0"
    why = f"2 executions in a row failed, the last: {last}"
    halted = await rig.stored()
    assert (halted.enabled, halted.paused) == (False, Pause(NOW + 30 * SECOND, why))
    assert halted.next_run_at == NOW + 30 * SECOND
    (told,) = (line for line in logs if line["event"] == "workflow.paused")
    assert (told["workflowId"], told["why"]) == ("hello", why)
    assert counted(rig.registry, "workflows_paused_total") == 1


async def test_without_a_limit_it_goes_on_failing(rig: Failing) -> None:
    await rig.define(None)
    assert len(await rig.run(5)) == 5


async def test_a_success_in_between_counts_from_the_start(rig: Failing) -> None:
    await rig.define()
    await rig.run(1)
    await rig.run(1, fails=False)
    assert len(await rig.run(3)) == 2
    assert (await rig.stored()).paused


async def test_what_failed_before_it_was_resumed_counts_no_more(rig: Failing) -> None:
    await rig.define()
    await rig.run(3)
    await rig.resume()
    assert len(await rig.run(4)) == 2
    assert (await rig.stored()).paused


async def test_what_somebody_ran_by_hand_does_not_count(rig: Failing) -> None:
    await rig.define()
    await rig.run(1)
    by_hand = queued("by-hand", now=rig.clock.now())
    await rig.executions.add([by_hand])
    await rig.end(by_hand, fails=True)
    assert len(await rig.run(1)) == 1


async def test_a_pause_that_somebody_else_stored_first_is_kept(rig: Failing) -> None:
    await rig.define()
    await rig.run(2)
    await rig.clock.advance(10 * SECOND)
    (due,) = await rig.workflows.read_due(["default:hello"])
    first = Pause(NOW + 30 * SECOND, "first")
    assert await rig.workflows.pause(due, first)
    assert await rig.fire.halt([due], rig.clock.now()) == []
    assert (await rig.stored()).paused == first
    assert counted(rig.registry, "workflows_paused_total") == 0
