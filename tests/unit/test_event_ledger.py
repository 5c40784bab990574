"""What a process may promise about the events it has yet to publish."""

from shared.runtime.event_ledger import LAG, SETTLING, EventLedger
from tests.support.builders import NOW, SECOND

LATER = NOW + 60 * SECOND


def test_at_rest_the_promise_follows_the_clock_at_a_distance() -> None:
    ledger = EventLedger()
    assert ledger.published_until(LATER) == LATER - LAG
    assert ledger.is_clear


def test_the_promise_stops_at_the_earliest_call_that_is_not_published() -> None:
    ledger = EventLedger()
    second, first = ledger.open(NOW + SECOND), ledger.open(NOW)
    assert ledger.published_until(LATER) == NOW
    ledger.published(first)
    assert ledger.published_until(LATER) == NOW + SECOND
    assert not ledger.is_clear
    ledger.published(second)
    assert ledger.published_until(LATER) == LATER - LAG
    assert ledger.is_clear


def test_a_lost_call_holds_the_promise_until_somebody_else_answers_for_it() -> None:
    ledger = EventLedger()
    ledger.lost(ledger.open(NOW + SECOND), LATER)
    ledger.lost(ledger.open(NOW), LATER)
    assert ledger.published_until(LATER + LAG) == NOW
    assert not ledger.is_clear
    assert ledger.settled_gap(LATER + SETTLING / 2) is None
    gap = ledger.settled_gap(LATER + SETTLING)
    assert gap is not None
    assert gap.start == NOW
    ledger.handed_over(gap)
    assert ledger.is_clear


def test_a_gap_that_grew_while_it_was_handed_over_stays() -> None:
    ledger = EventLedger()
    ledger.lost(ledger.open(NOW), LATER)
    gap = ledger.settled_gap(LATER + SETTLING)
    assert gap is not None
    ledger.lost(ledger.open(NOW + SECOND), LATER + SETTLING)
    ledger.handed_over(gap)
    assert ledger.published_until(LATER) == NOW


def test_a_call_ends_once() -> None:
    ledger = EventLedger()
    number = ledger.open(NOW)
    ledger.published(number)
    ledger.published(number)
    ledger.lost(number, LATER)
    assert ledger.is_clear
