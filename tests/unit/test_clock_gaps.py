"""A clock gap has a place on the timetable of what it swallows, and is a step by itself."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from shared.domain.execution import SkipReason
from shared.domain.instants import format_instant, parse_instant
from shared.domain.jitter import Delayed
from shared.domain.schedule import Catching, Fire, Lapse, Missed, next_step, resume_plan
from shared.domain.timetable import Timetable, timetable_of
from shared.domain.triggers import Trigger
from tests.support.builders import NOW, SECOND

TRIGGERS: TypeAdapter[Trigger] = TypeAdapter(Trigger)
MS = timedelta(milliseconds=1)
HOUR = timedelta(hours=1)
JUMP = datetime(2026, 3, 29, 1, tzinfo=UTC)
EVE = JUMP - MS
"""Where the gap of Berlin lies."""


def cron(*schedule: str, zone: str = "Europe/Berlin", **fields: Any) -> Timetable:
    given = {"schedule": schedule, "timezone": zone, "onGap": "skip", **fields}
    timetable = timetable_of(TRIGGERS.validate_python({"type": "cron", **given}), NOW)
    assert timetable is not None
    return timetable


def places(timetable: Timetable, since: datetime) -> Iterator[datetime]:
    at = timetable.next_place(since)
    while at is not None:
        yield at
        at = timetable.next_place(at)


def told(timetable: Timetable, since: str, until: str) -> list[str]:
    last = parse_instant(until)
    found = takewhile(lambda at: at <= last, places(timetable, parse_instant(since)))
    return [
        format_instant(at) + (f" swallows {n}" if (n := timetable.swallowed(at)) else "")
        for at in found
    ]


@pytest.mark.parametrize(
    ("schedule", "zone", "span", "expected"),
    [
        (
            "30 2 * * *",
            "Europe/Berlin",
            ("2026-03-28T01:00:00Z", "2026-03-30T01:00:00Z"),
            [
                "2026-03-28T01:30:00.000Z",
                "2026-03-29T00:59:59.999Z swallows 1",
                "2026-03-30T00:30:00.000Z",
            ],
        ),
        (
            "*/15 * * * *",
            "Europe/Berlin",
            ("2026-03-29T00:30:00Z", "2026-03-29T01:10:00Z"),
            [
                "2026-03-29T00:45:00.000Z",
                "2026-03-29T00:59:59.999Z swallows 4",
                "2026-03-29T01:00:00.000Z",
            ],
        ),
        (
            "*/10 2 * * *",
            "Australia/Lord_Howe",
            ("2026-10-03T15:00:00Z", "2026-10-03T15:45:00Z"),
            [
                "2026-10-03T15:29:59.999Z swallows 3",
                "2026-10-03T15:30:00.000Z",
                "2026-10-03T15:40:00.000Z",
            ],
        ),
        (
            "0 */6 * * *",
            "Pacific/Apia",
            ("2011-12-30T03:00:00Z", "2011-12-30T12:00:00Z"),
            [
                "2011-12-30T04:00:00.000Z",
                "2011-12-30T09:59:59.999Z swallows 4",
                "2011-12-30T10:00:00.000Z",
            ],
        ),
    ],
    ids=["nightly", "every-quarter", "half-an-hour", "a-whole-day"],
)
def test_a_gap_lies_a_millisecond_before_the_jump_and_counts_what_it_swallows(
    schedule: str, zone: str, span: tuple[str, str], expected: list[str]
) -> None:
    assert told(cron(schedule, zone=zone), *span) == expected


def test_fires_are_told_without_gaps() -> None:
    quarters = cron("*/15 * * * *")
    assert quarters.next_after(JUMP - 15 * 60 * SECOND) == JUMP
    assert quarters.latest_until(EVE, JUMP - HOUR) == JUMP - HOUR / 4
    assert quarters.count(JUMP - HOUR, EVE) == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"onGap": "next-valid"},
        {"exclude": ["2026-03-29"]},
        {"endAt": "2026-03-29T00:59:59Z"},
        {"startAt": "2026-03-29T01:00:00Z"},
        {"timezone": "UTC"},
        {"schedule": "30 3 * * *"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_a_gap_that_swallows_nothing_has_no_place(fields: dict[str, Any]) -> None:
    nightly = cron("30 2 * * *", **fields)
    assert nightly.next_gap(JUMP - HOUR, JUMP + HOUR) is None
    assert nightly.next_place(JUMP - HOUR) == nightly.next_after(JUMP - HOUR)


def test_a_gap_within_start_and_end_has_its_place() -> None:
    limits = {"startAt": "2026-03-29T00:59:59.999Z", "endAt": "2026-03-29T00:59:59.999Z"}
    nightly = cron("30 2 * * *", **limits)
    assert list(places(nightly, NOW)) == [EVE]
    assert nightly.next_gap(NOW, JUMP) == EVE
    assert nightly.next_after(NOW) is None


def test_a_gap_is_delayed_as_the_fires_are() -> None:
    by = 2 * HOUR + 7 * MS
    nightly = Delayed(cron("30 2 * * *"), by)
    assert nightly.next_place(JUMP) == EVE + by
    assert nightly.next_gap(JUMP, EVE + by) == EVE + by
    assert nightly.next_gap(JUMP, EVE + by - MS) is None
    assert nightly.next_gap(EVE + by, EVE + HOUR * 99) is None
    assert (nightly.swallowed(EVE + by), nightly.swallowed(EVE)) == (1, 0)


SHAPES = ("30 2 * * *", "*/15 * * * *", "0 2,3 * * *", "59 2 * * 0", "0 0 1 * *")


@given(
    st.sampled_from(SHAPES),
    st.sampled_from(["first", "second", "both"]),
    st.integers(-48 * 3600, 48 * 3600),
    st.integers(0, 60 * 3600),
    st.integers(0, 999),
)
def test_places_are_the_fires_and_the_gaps_wherever_one_begins(
    shape: str, on_fold: str, begin: int, length: int, more: int
) -> None:
    timetable = cron(shape, onFold=on_fold)
    since = JUMP + begin * SECOND + more * MS
    until = since + length * SECOND
    found = list(takewhile(lambda at: at <= until, places(timetable, since)))
    gaps = [at for at in found if timetable.swallowed(at)]
    fires = [at for at in found if at not in gaps]
    assert gaps == [at for at in [timetable.next_gap(since, until)] if at]
    assert len(fires) == timetable.count(since, until)
    assert all(timetable.next_after(at - MS) == at for at in fires)


def _steps(
    timetable: Timetable, at: datetime | None, now: datetime, catching: Catching
) -> Iterator[Fire | Lapse]:
    while at is not None and (step := next_step(timetable, at, now, catching)):
        yield step
        at = timetable.next_place(step.at if isinstance(step, Fire) else step.missed.last)


GAP = Lapse(Missed(EVE, EVE, 4, is_gap=True), SkipReason.GAP)
QUARTER = HOUR / 4


def _lapse(reason: SkipReason, first: datetime, last: datetime) -> Lapse:
    return Lapse(Missed(first, last, (last - first) // QUARTER + 1), reason)


@pytest.mark.parametrize(
    ("catching", "expected"),
    [
        (
            Catching(),
            [
                _lapse(SkipReason.MISSED, JUMP - HOUR, JUMP - QUARTER),
                GAP,
                _lapse(SkipReason.MISSED, JUMP, JUMP + 3 * QUARTER),
                Fire(JUMP + HOUR),
            ],
        ),
        (
            Catching(window=HOUR / 2),
            [
                _lapse(SkipReason.WINDOW, JUMP - HOUR, JUMP - QUARTER),
                GAP,
                _lapse(SkipReason.WINDOW, JUMP, JUMP + QUARTER),
                _lapse(SkipReason.MISSED, JUMP + 2 * QUARTER, JUMP + 3 * QUARTER),
                Fire(JUMP + HOUR),
            ],
        ),
        (
            Catching(every=True),
            [
                *(Fire(JUMP + n * QUARTER) for n in range(-4, 0)),
                GAP,
                *(Fire(JUMP + n * QUARTER) for n in range(5)),
            ],
        ),
    ],
    ids=["latest", "window", "all"],
)
def test_no_lapse_reaches_over_a_gap(catching: Catching, expected: list[Fire | Lapse]) -> None:
    quarters = cron("*/15 * * * *")
    assert list(_steps(quarters, JUMP - HOUR, JUMP + HOUR, catching)) == expected


def test_a_hundred_that_wait_for_their_turn_do_not_count_a_gap_among_them() -> None:
    minutes, now = cron("* * * * *"), JUMP + 49.5 * 60 * SECOND
    steps = list(_steps(minutes, JUMP - 2 * HOUR, now, Catching(every=True)))
    assert sum(isinstance(step, Fire) for step in steps) == 100
    assert [s.reason for s in steps if isinstance(s, Lapse)] == [SkipReason.WINDOW, SkipReason.GAP]


def test_what_was_off_over_a_gap_is_told_in_pieces() -> None:
    quarters = cron("*/15 * * * *")
    missed, following = resume_plan(quarters, JUMP - QUARTER, JUMP + QUARTER)
    assert missed == [
        Missed(JUMP - QUARTER, JUMP - QUARTER, 1),
        Missed(EVE, EVE, 4, is_gap=True),
        Missed(JUMP, JUMP + QUARTER, 2),
    ]
    assert following == JUMP + 2 * QUARTER


def test_the_place_of_a_gap_that_new_rules_did_away_with_never_fires() -> None:
    """It was stored by other rules, and the clocks run evenly there by those of today."""
    nightly, stale = cron("30 2 * * *"), JUMP - 24 * HOUR - MS
    assert next_step(nightly, stale, JUMP, Catching()) == Lapse(
        Missed(stale, stale, 1, is_gap=True), SkipReason.GAP
    )
    assert nightly.next_place(stale) == JUMP - 23.5 * HOUR
