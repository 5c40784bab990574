"""A runner process killed at every event of a branching workflow with retries and compensations.

One execution for each event, all at the same time. A runner has one execution at a time, so
that its end is the end of no other's calls: repeated is only what its own kill interrupted.
"""

import itertools
import signal
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from shared.adapters.mongo.connection import MongoConnection, MongoSettings
from shared.adapters.mongo.executions import MongoExecutions
from shared.domain.execution import EventType
from shared.domain.fold import differences
from shared.domain.plan import Plan
from tests.support.builders import CATALOGUE, TENANT
from tests.support.destination import Destination
from tests.support.mortal_runners import mortal_runners
from tests.support.saga import Run, saga
from tests.support.stack import QUICK, Json, Service, Stack
from tests.support.waiting import eventually

_RUNNERS: Final = 8
_SETTINGS: Final = {
    **QUICK,
    "RUNNER_CONCURRENCY": "1",
    "LEASE": "10s",  # only the dead lose one, however busy the machine is
    "RESEND": "1s",
    "RESEND_MAX": "1s",
    "KAFKA_PARTITIONS": "12",
    "KAFKA_FETCH_MAX_WAIT": "50ms",
    "KAFKA_SESSION_TIMEOUT": "2s",  # after each kill the embedded broker rebalances for as long
}


@dataclass(frozen=True)
class Stage:
    """A platform whose runners die when the folder `doomed` says so."""

    stack: Stack
    stored: MongoExecutions
    doomed: Path

    async def play(self, kills: Mapping[str, int]) -> list[Run]:
        """Run the workflow to its end under each name; a runner dies at the event given, if any."""
        async with AsyncExitStack() as cleanup:
            scenes = []
            for name, seq in kills.items():
                destination = Destination()
                await destination.start()
                cleanup.push_async_callback(destination.stop)
                definition = saga(name, destination)
                await self.stack.create(definition)
                if seq:
                    (self.doomed / name).write_text(str(seq))
                scenes.append((definition, destination, await self.stack.trigger(name)))
            await eventually(self._unfinished, lambda n: n == 0, within=300, every=0.25)
            await eventually(self._still_to_die, lambda names: not names)
            return [await self._run(*scene) for scene in scenes]

    async def _run(self, definition: Json, destination: Destination, execution_id: str) -> Run:
        execution = await self.stored.get(TENANT, execution_id)
        assert execution is not None
        return Run(Plan(CATALOGUE.parse(definition)), execution, tuple(destination.calls))

    async def _unfinished(self) -> int:
        unfinished = ["queued", "running", "pending", "waiting"]
        return len(await self.stack.executions(status=unfinished))

    async def _still_to_die(self) -> list[str]:
        return [file.name for file in self.doomed.iterdir()]


@pytest.fixture
async def stage(unique: str, tmp_path: Path) -> AsyncIterator[Stage]:
    stack = Stack("tansu", unique, _SETTINGS)
    settings = MongoSettings(
        stack.env["MONGODB_URI"], stack.env["MONGODB_DATABASE"], timedelta(seconds=30)
    )
    mongo = MongoConnection(settings, "tests")
    runners = Service("runner", stack.env, mortal_runners(_RUNNERS, tmp_path))
    stack.services["runner"] = runners
    try:
        runners.start()
        await stack.start("workflows", "scheduler")
        await mongo.open()
        yield Stage(stack, MongoExecutions(mongo.executions), tmp_path)
    finally:
        await stack.close()
        await mongo.close()


@pytest.mark.timeout(400)
async def test_the_end_is_the_same_at_whichever_event_a_runner_is_killed(stage: Stage) -> None:
    (undisturbed,) = await stage.play({"undisturbed": 0})
    assert {key: state[:2] for key, state in undisturbed.execution.actions.items()} == {
        "S": ("completed", 2),
        "A": ("completed", 1),
        "B": ("failed", 2),
        "C": ("completed", 1),
        "D": ("completed", 1),
        "D[0]": ("completed", 1),
        "D[1]": ("completed", 1),
        "E": ("failed", 1),
        "F": ("completed", 1),
        "undo-A": ("completed", 2),
        "undo-C": ("completed", 1),
        "undo-D": ("completed", 1),
    }
    called = {key: state.attempts for key, state in undisturbed.execution.actions.items()}
    del called["D"]  # of a forEach only the items are calls
    assert Counter(undisturbed.keys) == called
    _check_order(undisturbed)
    kills = {f"killed-at-{seq}": seq for seq in range(1, undisturbed.execution.seq + 1)}
    repeated = 0
    for run, seq in zip(await stage.play(kills), kills.values(), strict=True):
        assert run.end == undisturbed.end, run.name
        assert run.steps == undisturbed.steps, run.name
        assert differences(run.execution) == [], run.name
        repeated += _check_calls(run, undisturbed, _interrupted(run, seq))
        _check_order(run)
    assert repeated, "no kill met a call under way"
    ends = stage.stack.runner.logged("test.ended")
    assert {end["code"] for end in ends} == {-signal.SIGKILL}


def _interrupted(run: Run, seq: int) -> set[str]:
    """Check that another runner took over after event `seq`; return what was under way there."""
    history = run.execution.history
    taken = run.taken_over(seq)
    lost = [taken] if taken and taken.type is EventType.RECOVERED else []
    assert [e for e in history if e.type is EventType.RECOVERED] == lost, f"{run.name}: {history}"
    if taken is None:
        return set()
    before = [event.runner for event in history[: taken.seq - 1] if event.runner]
    assert taken.runner not in before[-1:], f"{run.name}: {history}"
    return run.under_way(taken) if lost else set()


def _check_calls(run: Run, undisturbed: Run, interrupted: set[str]) -> int:
    """Check that the same calls were made, those interrupted at most twice; count the repeated."""
    assert run.calls.keys() == undisturbed.calls.keys(), f"{run.name}: {run.keys}"
    assert undisturbed.calls - run.calls == {}, run.name
    repeated = run.calls - undisturbed.calls
    assert {key for _, _, key in repeated} <= interrupted, f"{run.name}: {run.keys}"
    assert set(repeated.values()) <= {1}, f"{run.name}: {run.keys}"
    return len(repeated)


def _check_order(run: Run) -> None:
    """Check that no call came before one that it needs, and that undoing went backwards."""
    places: dict[str, list[int]] = {}
    for place, key in enumerate(run.keys):
        places.setdefault(key.partition("[")[0], []).append(place)
    pairs = [(need, key) for key, needs in run.plan.needs.items() for need in needs]
    pairs += [(key, run.undoing[0]) for key in run.plan.actions]
    for first, then in [*pairs, *itertools.pairwise(run.undoing)]:
        assert max(places[first]) < min(places[then]), f"{run.name}: {run.keys}"
