"""Overlap policies: what a definition may say, and whom they let in."""

from typing import Any

import pytest

from shared.domain.catalogue import normalised
from shared.domain.errors import InvalidInput
from shared.domain.overlap import Crowd, Overlap, OverlapPolicy, Place, Slot
from tests.support.builders import definition


@pytest.mark.parametrize(
    ("members", "policy"),
    [
        ({}, OverlapPolicy(Overlap.SKIP, 1)),
        ({"overlap": "skip"}, OverlapPolicy(Overlap.SKIP, 1)),
        ({"maxConcurrent": 3}, OverlapPolicy(Overlap.SKIP, 3)),
        ({"overlap": "allow"}, OverlapPolicy(Overlap.ALLOW, 10)),
        ({"overlap": "allow", "maxConcurrent": 100}, OverlapPolicy(Overlap.ALLOW, 100)),
        ({"overlap": "buffer-one"}, OverlapPolicy(Overlap.BUFFER_ONE, 1, 1)),
        ({"overlap": "buffer-one", "maxConcurrent": 4}, OverlapPolicy(Overlap.BUFFER_ONE, 4, 1)),
        ({"overlap": "cancel-running"}, OverlapPolicy(Overlap.CANCEL_RUNNING, 1, 100)),
        ({"overlap": "buffer-all"}, OverlapPolicy(Overlap.BUFFER_ALL, 1, 100)),
        ({"overlap": "buffer-all", "maxBuffered": 7}, OverlapPolicy(Overlap.BUFFER_ALL, 1, 7)),
    ],
)
def test_what_a_definition_says_is_its_policy(
    members: dict[str, Any], policy: OverlapPolicy
) -> None:
    assert definition(**members).overlap_policy == policy


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"overlap": "sometimes"}, "/overlap"),
        ({"overlap": None}, "/overlap"),
        ({"maxConcurrent": 0}, "/maxConcurrent"),
        ({"maxConcurrent": 101}, "/maxConcurrent"),
        ({"maxConcurrent": "3"}, "/maxConcurrent"),
        ({"overlap": "cancel-running", "maxConcurrent": 2}, "/maxConcurrent"),
        ({"overlap": "cancel-running", "maxBuffered": 2}, "/maxBuffered"),
        ({"maxBuffered": 7}, "/maxBuffered"),
        ({"overlap": "buffer-one", "maxBuffered": 7}, "/maxBuffered"),
        ({"overlap": "buffer-all", "maxBuffered": 0}, "/maxBuffered"),
        ({"overlap": "buffer-all", "maxBuffered": 1001}, "/maxBuffered"),
        ({"overlap": "sometimes", "maxBuffered": 7}, "/overlap"),
    ],
)
def test_what_cannot_be_is_refused_where_it_stands(members: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        definition(**members)
    assert [problem.pointer for problem in refused.value.problems] == [pointer]


def test_definitions_that_say_nothing_of_overlaps_are_stored_as_before() -> None:
    assert normalised(definition(overlap="skip")) == normalised(definition())
    assert normalised(definition()).keys() == {"workflowId", "trigger", "actions", "retry"}


@pytest.mark.parametrize(
    ("taken", "slot"),
    [((), 0), ((0,), 1), ((1,), 0), ((0, 1), 2), ((0, 1, 2), None), ((0, 7, 8), None), ((7,), 0)],
)
def test_the_lowest_free_slot_is_taken_as_long_as_few_enough_are_held(
    taken: tuple[int, ...], slot: int | None
) -> None:
    room = OverlapPolicy(Overlap.ALLOW, 3).admit(Crowd(frozenset(taken)))
    assert room == (None if slot is None else Slot(slot))


@pytest.mark.parametrize(
    ("slots", "places", "room"),
    [
        ((), (), Slot(0)),
        ((0,), (), Place(0)),
        ((0,), (0, 2), Place(1)),
        ((), (0,), Place(1)),
        ((0,), (0, 1, 2), None),
        ((0,), (7, 8, 9), None),
    ],
)
def test_who_cannot_run_waits_as_long_as_there_is_a_place(
    slots: tuple[int, ...], places: tuple[int, ...], room: Slot | Place | None
) -> None:
    policy = OverlapPolicy(Overlap.BUFFER_ALL, 1, 3)
    assert policy.admit(Crowd(frozenset(slots), frozenset(places))) == room
