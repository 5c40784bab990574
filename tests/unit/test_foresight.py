"""What is to be expected of instants, if executions take as long as is assumed."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import pytest

from shared.domain.execution import SkipReason
from shared.domain.foresight import Ahead, Expected, Foreseen, Occupied, foresee
from shared.domain.overlap import Overlap, OverlapPolicy, policy_of
from tests.support.builders import NOW, SECOND

SKIP = policy_of(Overlap.SKIP, None, None)
REPLACE = policy_of(Overlap.CANCEL_RUNNING, None, None)
AT_FIVE = Occupied(NOW, (NOW + 5 * SECOND,))


def at(*seconds: int) -> Iterator[datetime]:
    return (NOW + second * SECOND for second in seconds)


def told(foreseen: Foreseen) -> str:
    """Say it in a word: `10`, `10 -> 25`, `10 x 20` (replaced), `10 overlap`."""
    since = f"{(foreseen.at - NOW).total_seconds():g}"
    if foreseen.expected is Expected.FIRES:
        assert foreseen.later is None
        return since
    if foreseen.expected is Expected.SKIPPED:
        assert foreseen.reason is not None
        return f"{since} {foreseen.reason}"
    assert foreseen.later is not None
    arrow = {Expected.BUFFERED: "->", Expected.REPLACED: "x"}[foreseen.expected]
    return f"{since} {arrow} {(foreseen.later - NOW).total_seconds():g}"


def expected(
    policy: OverlapPolicy, length: float, *seconds: int, held: Occupied | None = None
) -> list[str]:
    """Say what is to be expected of the instants of one trigger."""
    only = Ahead("t", at(*seconds))
    found = foresee([only], policy, timedelta(seconds=length), held or Occupied(NOW))
    return [told(each) for each in found]


@pytest.mark.parametrize(
    ("overlap", "concurrent", "buffered", "said"),
    [
        (Overlap.SKIP, None, None, ["10", "20 overlap", "30 overlap", "40", "50 overlap"]),
        (Overlap.SKIP, 2, None, ["10", "20", "30 overlap", "40", "50"]),
        (Overlap.ALLOW, None, None, ["10", "20", "30", "40", "50"]),
        (Overlap.ALLOW, 2, None, ["10", "20", "30 overlap", "40", "50"]),
        (
            Overlap.BUFFER_ONE,
            None,
            None,
            ["10", "20 -> 35", "30 overlap", "40 -> 60", "50 overlap"],
        ),
        (Overlap.BUFFER_ONE, 2, None, ["10", "20", "30 -> 35", "40 -> 45", "50 -> 60"]),
        (
            Overlap.BUFFER_ALL,
            None,
            None,
            ["10", "20 -> 35", "30 -> 60", "40 -> 85", "50 -> 110"],
        ),
        (
            Overlap.BUFFER_ALL,
            None,
            2,
            ["10", "20 -> 35", "30 -> 60", "40 -> 85", "50 overlap"],
        ),
        (Overlap.CANCEL_RUNNING, None, None, ["10 x 20", "20 x 30", "30 x 40", "40 x 50", "50"]),
    ],
)
def test_each_policy_deals_in_its_own_way_with_what_is_due_too_early(
    overlap: Overlap, concurrent: int | None, buffered: int | None, said: list[str]
) -> None:
    policy = policy_of(overlap, concurrent, buffered)
    assert expected(policy, 25, 10, 20, 30, 40, 50) == said


@pytest.mark.parametrize("overlap", Overlap)
@pytest.mark.parametrize("length", [0, 1, 10])
def test_what_ends_before_or_at_an_instant_is_not_in_its_way(
    overlap: Overlap, length: float
) -> None:
    assert expected(policy_of(overlap, None, None), length, 10, 20, 30) == ["10", "20", "30"]


@pytest.mark.parametrize(
    ("overlap", "said"),
    [
        (Overlap.SKIP, ["3 overlap", "6"]),
        (Overlap.BUFFER_ONE, ["3 -> 5", "6 -> 15"]),
        (Overlap.ALLOW, ["3", "6"]),
        (Overlap.CANCEL_RUNNING, ["3 x 6", "6"]),
    ],
)
def test_what_runs_already_is_reckoned_with(overlap: Overlap, said: list[str]) -> None:
    assert expected(policy_of(overlap, None, None), 10, 3, 6, held=AT_FIVE) == said


def test_those_that_wait_already_go_first_and_leave_less_room() -> None:
    policy = policy_of(Overlap.BUFFER_ALL, None, 3)
    held = Occupied(NOW, AT_FIVE.ends, waiting=2)
    assert expected(policy, 10, 1, 2, 6, held=held) == ["1 -> 25", "2 overlap", "6 -> 35"]


def test_nobody_gets_in_while_more_wait_or_run_than_may() -> None:
    held = Occupied(NOW, tuple(at(5, 7, 9)), waiting=0)
    assert expected(SKIP, 1, 6, 8, 10, held=held) == ["6 overlap", "8 overlap", "10"]
    crowded = Occupied(NOW, AT_FIVE.ends, waiting=3)
    policy = policy_of(Overlap.BUFFER_ONE, None, None)
    assert expected(policy, 10, 6, 16, 26, held=crowded) == ["6 overlap", "16 overlap", "26 -> 35"]


def test_the_newest_of_those_that_wait_begins_before_it_is_replaced() -> None:
    assert expected(REPLACE, 10, 3, held=Occupied(NOW, AT_FIVE.ends, waiting=2)) == ["3"]


def several(policy: OverlapPolicy, length: int, **instants: Sequence[int]) -> list[str]:
    triggers = [Ahead(name, at(*seconds)) for name, seconds in instants.items()]
    found = foresee(triggers, policy, length * SECOND, Occupied(NOW))
    return [f"{each.trigger_id} {told(each)}" for each in found]


def test_triggers_of_one_workflow_are_in_each_others_way() -> None:
    assert several(SKIP, 4, z=[10, 20], a=[13, 20, 24]) == [
        "z 10",
        "a 13 overlap",
        "z 20",
        "a 20 overlap",
        "a 24",
    ]


def test_of_those_due_at_once_the_first_begins_and_those_that_wait_go_on_by_their_ids() -> None:
    policy = policy_of(Overlap.BUFFER_ALL, None, None)
    assert several(policy, 4, z=[10], c=[10], b=[10]) == ["z 10", "c 10 -> 18", "b 10 -> 14"]


def test_of_those_due_at_once_the_newest_by_its_id_replaces_all_others() -> None:
    assert several(REPLACE, 4, a=[10, 12], z=[10, 12], m=[10, 12]) == [
        "a 10 x 10",
        "z 10 x 12",
        "m 10 superseded",
        "a 12 superseded",
        "z 12",
        "m 12 superseded",
    ]


def test_a_trigger_with_so_many_runs_goes_on_for_each_that_is_skipped() -> None:
    limited = Ahead("t", at(10, 20, 30, 40, 50), runs_left=2)
    found = [told(each) for each in foresee([limited], SKIP, 15 * SECOND, Occupied(NOW))]
    assert found == ["10", "20 overlap", "30"]
    ended = Ahead("t", at(10), runs_left=0)
    assert list(foresee([ended], SKIP, SECOND, Occupied(NOW))) == []


def test_what_is_superseded_was_a_run() -> None:
    limited = Ahead("a", at(10, 20), runs_left=1)
    found = foresee([Ahead("z", at(10)), limited], REPLACE, SECOND, Occupied(NOW))
    assert [each.reason for each in found] == [None, SkipReason.SUPERSEDED]


def test_no_more_instants_are_asked_for_than_it_takes() -> None:
    def endless() -> Iterator[datetime]:
        yield from at(10, 20)
        raise AssertionError("nobody needs that one")

    found = foresee([Ahead("t", endless())], SKIP, SECOND, Occupied(NOW))
    assert told(next(found)) == "10"
