"""The agenda: what comes first, what is on it already, and what is due."""

from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from scheduler_svc.agenda import Agenda
from tests.support.builders import NOW, SECOND

ITEMS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 10)), max_size=30)


def _at(seconds: int) -> datetime:
    return NOW + seconds * SECOND


def _agenda(*items: tuple[int, str]) -> Agenda[str]:
    agenda = Agenda[str]()
    for seconds, item in items:
        agenda.put(_at(seconds), item)
    return agenda


def test_an_empty_agenda_has_nothing_due() -> None:
    agenda = Agenda[str]()
    assert (len(agenda), agenda.next_instant) == (0, None)
    assert agenda.take_due(_at(100), 10) == []


def test_items_are_taken_in_the_order_in_which_they_fall_due() -> None:
    agenda = _agenda((3, "c"), (1, "a"), (2, "b"))
    assert agenda.next_instant == _at(1)
    assert agenda.take_due(_at(3), 10) == ["a", "b", "c"]
    assert len(agenda) == 0


def test_an_item_is_due_at_its_instant_and_not_before() -> None:
    agenda = _agenda((5, "a"))
    assert agenda.take_due(_at(5) - SECOND / 1000, 10) == []
    assert agenda.take_due(_at(5), 10) == ["a"]


def test_items_of_one_instant_keep_the_order_in_which_they_came() -> None:
    names = [str(number) for number in range(20, 0, -1)]
    assert _agenda(*((1, name) for name in names)).take_due(_at(1), 100) == names


def test_an_item_that_is_on_it_already_is_not_put_on_it_again() -> None:
    agenda = _agenda((2, "a"), (1, "a"), (2, "a"))
    assert (len(agenda), agenda.next_instant) == (1, _at(2))
    assert agenda.take_due(_at(9), 10) == ["a"]


def test_an_item_that_was_taken_may_be_put_on_it_again() -> None:
    agenda = _agenda((1, "a"))
    agenda.take_due(_at(1), 10)
    agenda.put(_at(2), "a")
    assert agenda.take_due(_at(2), 10) == ["a"]


def test_no_more_are_taken_than_asked_for_and_the_rest_stays() -> None:
    agenda = _agenda((1, "a"), (2, "b"), (3, "c"))
    assert agenda.take_due(_at(9), 2) == ["a", "b"]
    assert agenda.take_due(_at(9), 0) == []
    assert (len(agenda), agenda.next_instant) == (1, _at(3))


@given(ITEMS, st.integers(1, 5))
def test_everything_comes_off_once_and_in_order(items: list[tuple[int, int]], limit: int) -> None:
    agenda = Agenda[tuple[int, int]]()
    for item in items:
        agenda.put(_at(item[0]), item)
    taken: list[tuple[int, int]] = []
    for second in range(21):
        while due := agenda.take_due(_at(second), limit):
            assert all(at == second for at, _ in due)
            taken += due
    assert len(agenda) == 0
    assert sorted(taken) == sorted(set(items))
