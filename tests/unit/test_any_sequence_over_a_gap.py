"""Whatever happens over the night of a clock gap, all that a trigger named has one record.

It is the night to 29 March 2026 in Berlin: at 01:00 UTC clocks go from 02:00 to 03:00.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.adapters.memory.clock import ManualClock
from shared.domain.execution import Execution, SkipReason
from shared.domain.triggers import CronTrigger, OnGap
from shared.domain.zones import zone
from tests.unit.eras import Era, at_of, check_promises, span_of
from tests.unit.minutes import Meant, Minutes
from tests.unit.test_any_sequence import Json, Life, Step, sequences

EVENING: Final = datetime(2026, 3, 28, 22, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
MS: Final = timedelta(milliseconds=1)

NIGHTLY: Json = {
    "type": "cron",
    "schedule": "30 2 * * *",
    "timezone": "Europe/Berlin",
    "onGap": "skip",
}
QUARTERS: Json = {**NIGHTLY, "schedule": "*/15 * * * *"}
TRIGGERS: list[Json] = [
    NIGHTLY,
    {**NIGHTLY, "onGap": "next-valid"},
    {**NIGHTLY, "catchUp": "all", "maxRuns": 1},
    {**NIGHTLY, "schedule": "10,20,30 2 * * *", "catchUp": "none"},
    {**NIGHTLY, "jitter": "3h"},
    QUARTERS,
    {**QUARTERS, "catchUp": "all"},
    {**QUARTERS, "catchUp": "all", "catchUpWindow": "2h", "maxRuns": 30},
    {**QUARTERS, "catchUp": "none", "jitter": "40m"},
    {**QUARTERS, "schedule": "0 */2 * * *", "maxRuns": 4},
    {"type": "manual"},
]


@cache
def meant(expression: str) -> Meant:
    berlin = Minutes(zone("Europe/Berlin"), EVENING - 24 * HOUR, EVENING + 24 * 21 * HOUR)
    return berlin.meant(expression)


def ideal(era: Era, until: datetime) -> Mapping[datetime, int]:
    """Return what an era's clocks named, in order: for each gap how many times, 0 for a fire."""
    trigger = era.trigger
    if not isinstance(trigger, CronTrigger):
        return {}
    (expression,) = trigger.schedule
    named = meant(expression)
    found = dict.fromkeys(named.fires(trigger.on_gap, trigger.on_fold), 0)
    if trigger.on_gap is OnGap.SKIP:
        found |= {jump - MS: count for jump, count in named.swallowed().items()}
    end = era.end or until
    placed = {era.place(at, end): n for at, n in sorted(found.items())}
    return {at: n for at, n in placed.items() if at is not None}


class Night(Life):
    """A workflow's life that begins in the evening before."""

    def __init__(self) -> None:
        super().__init__(ManualClock(EVENING))

    def places(self, era: Era, until: datetime) -> Sequence[datetime]:
        return [*ideal(era, until)]

    def check_era(self, era: Era, own: list[Execution]) -> None:
        """Check the records of an era, which are in order."""
        named, limit = ideal(era, self.clock.now()), getattr(era.trigger, "max_runs", None)
        fires = [at_of(e) for e in own if not e.skip]
        if limit is not None and len(fires) == limit:
            until = [*named].index(fires[-1]) + 1
            named = dict(islice(named.items(), until))
        covered: list[datetime] = []
        for record in own:
            span = span_of(record, [*named])
            check_span(record, [named[at] for at in span])
            covered += span
        assert covered == list(named)
        assert limit is None or len(fires) <= limit
        check_promises(era, [e for e in own if not is_gap(e)])


def check_span(record: Execution, swallowed: list[int]) -> None:
    """Check what a record says of the places it stands for: a gap has one of its own."""
    if is_gap(record):
        assert record.skip
        assert swallowed == [record.skip.count]
        assert record.skip.count > 0
    else:
        assert swallowed == [0] * (record.skip.count if record.skip else 1)


def is_gap(record: Execution) -> bool:
    return record.skip is not None and record.skip.reason is SkipReason.GAP


@settings(max_examples=300)
@given(
    st.sampled_from(TRIGGERS),
    sequences(TRIGGERS, 6 * 3600),
    st.integers(0, 48).map(lambda hours: hours * HOUR),
)
async def test_all_that_was_named_has_one_record_and_every_promise_is_kept(
    trigger: Json, steps: list[Step], downtime: timedelta
) -> None:
    night = Night()
    await night.begin(trigger)
    for step in steps:
        await step(night)
    await night.clock.advance(downtime)
    await night.settle()
    night.check()
