"""Whatever is foreseen of a workflow is what the scheduler makes of it."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler_svc.simulation.bootstrap import rehearse
from shared.domain.execution import Execution, SkipReason, Status
from shared.domain.foresight import Expected, Foreseen, Occupied
from shared.domain.outlook import Assumed, Source, outlook
from shared.domain.workflow import Workflow
from tests.support.builders import NOW, SECOND, workflow

Json = dict[str, Any]
POLICIES: Final[list[Json]] = [
    {},
    {"maxConcurrent": 2},
    {"overlap": "allow"},
    {"overlap": "allow", "maxConcurrent": 2},
    {"overlap": "buffer-one"},
    {"overlap": "buffer-one", "maxConcurrent": 2},
    {"overlap": "buffer-all", "maxBuffered": 3},
    {"overlap": "buffer-all", "maxBuffered": 2, "maxConcurrent": 3},
    {"overlap": "cancel-running"},
]
each_policy = pytest.mark.parametrize("members", POLICIES, ids=str)
PERIODIC: Final = st.fixed_dictionaries(
    {"type": st.just("periodic"), "interval": st.sampled_from(["5s", "7s", "10s", "15s", "60s"])},
    optional={
        "maxRuns": st.integers(1, 4),
        "jitter": st.just("4s"),
        "startAt": st.just("2026-01-01T00:00:20Z"),
        "endAt": st.just("2026-01-01T00:01:00Z"),
    },
)
CRON: Final = st.fixed_dictionaries(
    {"type": st.just("cron"), "schedule": st.sampled_from(["*/10 * * * * *", "0,15,20 * * * * *"])},
    optional={"maxRuns": st.integers(1, 4), "catchUp": st.just("all")},
)
ONCE: Final = st.just({"type": "once", "at": "2026-01-01T00:00:30Z"})
NOTHING: Final = Occupied(NOW)
MOST: Final = 25
LONG: Final = timedelta(minutes=5)
NAMES: Final = st.lists(st.sampled_from(["a", "a-b", "aa", "z"]), unique=True, min_size=1)
LENGTHS: Final = st.one_of(
    st.sampled_from([0, 5, 10, 15]).map(lambda seconds: seconds * SECOND),
    st.integers(0, 40_000).map(lambda milliseconds: timedelta(milliseconds=milliseconds)),
)


@st.composite
def triggers(draw: st.DrawFn) -> list[Json]:
    return [{"id": name, **draw(st.one_of(PERIODIC, CRON, ONCE))} for name in draw(NAMES)]


def foreseen(of: Workflow, length: timedelta, held: Occupied = NOTHING) -> list[Foreseen]:
    return list(outlook(of, held.at, MOST, Assumed(Source.GIVEN, length), held).instants)


def rehearsed(of: Workflow, length: timedelta, until: datetime) -> list[Execution]:
    """Return what came of the workflow when the scheduler's own code fired it."""
    played = asyncio.run(rehearse([of], NOW, until, length))
    assert played.stopped is None
    return played.executions


def became(execution: Execution) -> Foreseen:
    """Return what should have been foreseen of an instant."""
    at, name = execution.scheduled_for, execution.trigger_id
    assert at is not None
    if execution.skip is not None:
        return Foreseen(at, name, Expected.SKIPPED, reason=execution.skip.reason)
    if execution.status is Status.CANCELLED:
        return Foreseen(at, name, Expected.REPLACED, execution.finished_at)
    assert execution.status is Status.COMPLETED
    if execution.started_at != at:
        return Foreseen(at, name, Expected.BUFFERED, execution.started_at)
    return Foreseen(at, name)


@each_policy
@given(due=triggers(), length=LENGTHS)
def test_what_is_foreseen_is_what_the_scheduler_does(
    members: Json, due: list[Json], length: timedelta
) -> None:
    of = workflow(triggers=due, **members)
    found = foreseen(of, length)
    # By then all of it has begun and ended; without as many, nothing comes any more.
    settled = max((each.later or each.at for each in found), default=NOW) + length
    came = rehearsed(of, length, settled if len(found) == MOST else settled + LONG)
    order = {name: n for n, name in enumerate(of.definition.all_triggers)}
    came.sort(key=lambda each: (each.scheduled_for or NOW, order[each.trigger_id]))
    assert found == [became(execution) for execution in came[:MOST]]


@each_policy
@given(due=triggers(), length=LENGTHS, after=st.integers(0, MOST))
def test_what_runs_and_waits_in_the_midst_leads_to_the_same(
    members: Json, due: list[Json], length: timedelta, after: int
) -> None:
    of = workflow(triggers=due, **members)
    whole = foreseen(of, length)
    midst = whole[after - 1].at if 0 < after <= len(whole) else NOW
    before = [each for each in whole if each.at <= midst]
    begins = [
        each.later if each.expected is Expected.BUFFERED and each.later else each.at
        for each in before
        if each.expected in {Expected.FIRES, Expected.BUFFERED}
        or (each.expected is Expected.REPLACED and each.later and each.later > midst)
    ]
    held = Occupied(
        midst,
        tuple(at + length for at in begins if at <= midst < at + length),
        sum(at > midst for at in begins),
    )
    runs = Counter(e.trigger_id for e in before if e.reason is not SkipReason.OVERLAP)
    moved = replace(of, runs=runs)
    assert foreseen(moved, length, held)[: MOST - len(before)] == whole[len(before) :]
