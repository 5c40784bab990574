"""Which events the outside is told of, and that they can be told again from the history."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.lifecycle import LONGEST_MESSAGE, ExecutionEvent, encode_event
from shared.domain import transitions
from shared.domain.execution import (
    ErrorCategory,
    EventType,
    Execution,
    Failure,
    Skip,
    SkipReason,
    Status,
)
from shared.domain.lifecycle import (
    STATUS_AFTER,
    LifecycleEvent,
    Milestone,
    lifecycle_events,
    lifecycle_of,
    started,
)
from shared.domain.transitions import TRANSITIONS
from tests.support.builders import NOW, SECOND, lease, queued

DAY = timedelta(days=1)
OOPS = Failure(ErrorCategory.TRANSIENT, 'it said "no"\n\u2028 ☃')
LATER = NOW + 60 * SECOND


def a_long_life() -> list[Execution]:
    """Return every state of an execution that fails, is retried by hand and is cancelled."""
    states = [queued()]
    states.append(transitions.claim(states[-1], lease(), NOW + SECOND))
    failing = transitions.fail_action(
        states[-1],
        "call",
        OOPS,
        NOW + 2 * SECOND,
        attempt=1,
        started_at=NOW + SECOND,
        next_attempt_at=LATER,
        retries_left=2,
    )
    states.append(transitions.suspend(failing, EventType.RETRY_SCHEDULED, LATER, NOW + 2 * SECOND))
    states.append(transitions.claim(states[-1], lease("second"), LATER))
    states.append(transitions.start_compensation(states[-1], ["call"], OOPS, LATER))
    states.append(transitions.fail(states[-1], OOPS, LATER + SECOND, DAY))
    again = transitions.happen(states[-1], EventType.RETRIED, LATER + 2 * SECOND, retries_left=1)
    states.append(transitions.requeue(again, LATER + 2 * SECOND))
    states.append(transitions.claim(states[-1], lease("third"), LATER + 3 * SECOND))
    states.append(
        transitions.suspend(states[-1], EventType.WAITING, LATER + DAY, LATER + 4 * SECOND)
    )
    states.append(transitions.request_cancel(states[-1], ["call"], LATER + 5 * SECOND))
    states.append(transitions.claim(states[-1], lease("fourth"), LATER + 6 * SECOND))
    states.append(transitions.cancel(states[-1], LATER + 7 * SECOND, DAY))
    return states


def told_while_it_happens(states: list[Execution]) -> list[LifecycleEvent]:
    """Return what a publisher makes of each state as it is reached."""
    told = list(lifecycle_events(states[0], states[0].history))
    for before, after in pairwise(states):
        new = after.history[len(before.history) :]
        if new[0].type is EventType.CLAIMED:
            told += [event for event in [started(after, new[0].at)] if event]
        told += lifecycle_events(after, new)
    return told


def test_a_long_life_is_told_by_its_milestones() -> None:
    told = told_while_it_happens(a_long_life())
    assert [event.milestone for event in told] == [
        Milestone.QUEUED,
        Milestone.STARTED,
        Milestone.RETRY_SCHEDULED,
        Milestone.COMPENSATION_STARTED,
        Milestone.FAILED,
        Milestone.RETRIED,
        Milestone.WAITING,
        Milestone.CANCEL_REQUESTED,
        Milestone.CANCELLED,
    ]


def test_from_storage_the_same_is_told_byte_for_byte() -> None:
    states = a_long_life()
    again = lifecycle_of(states[-1], NOW)
    assert [encode_event(e) for e in again] == [
        encode_event(e) for e in told_while_it_happens(states)
    ]


def test_from_storage_nothing_older_than_asked_for_is_told() -> None:
    told = lifecycle_of(a_long_life()[-1], LATER + SECOND)
    assert next(told).milestone is Milestone.FAILED


def test_a_history_that_is_broken_is_told_all_the_same() -> None:
    whole = a_long_life()[-1]
    second_claim = [event.type for event in whole.history].index(EventType.CLAIMED, 2)
    cut = whole.evolve(history=whole.history[:second_claim] + whole.history[second_claim + 1 :])
    assert [event.id for event in lifecycle_of(cut, NOW)] == [
        event.id for event in lifecycle_of(whole, NOW)
    ]


def test_every_milestone_has_the_status_that_its_event_leads_to() -> None:
    for milestone in Milestone:
        if milestone in {Milestone.QUEUED, Milestone.BUFFERED, Milestone.SKIPPED}:
            assert STATUS_AFTER[milestone].value == milestone.value
            continue
        named = "claimed" if milestone is Milestone.STARTED else milestone.replace("-", ".")
        transition = TRANSITIONS[EventType(named)]
        assert STATUS_AFTER[milestone] is (transition.target or Status.RUNNING)


def test_whoever_waited_for_its_turn_is_told_of_as_buffered_and_as_queued() -> None:
    born = transitions.buffer(transitions.queue(queued(), NOW), 0)
    promoted = transitions.promote(born, 0, LATER, LATER)
    told = [encode_event(event) for event in lifecycle_of(promoted, NOW)]
    shown = [ExecutionEvent.model_validate_json(each) for each in told]
    assert [(e.type, e.data.status, e.data.seq) for e in shown] == [
        ("workflows.execution.buffered.v1", Status.BUFFERED, 1),
        ("workflows.execution.queued.v1", Status.QUEUED, 2),
    ]


def test_a_retry_says_why_and_when() -> None:
    told = told_while_it_happens(a_long_life())
    event = ExecutionEvent.model_validate_json(encode_event(told[2]))
    assert event.type == "workflows.execution.retry-scheduled.v1"
    assert event.id == f"{queued().id}:4"
    assert event.time == event.data.at == NOW + 2 * SECOND
    assert event.data.attempt == 2
    assert event.data.next_attempt_at == LATER
    assert event.data.error is not None
    assert event.data.error.message == OOPS.message
    assert event.data.status is Status.PENDING


def test_a_skipped_occurrence_says_why() -> None:
    born = queued().evolve(scheduled_for=NOW, history=())
    skipped = transitions.skip(born, Skip(SkipReason.OVERLAP, NOW, NOW, 1), DAY)
    (told,) = lifecycle_events(skipped, skipped.history)
    event = ExecutionEvent.model_validate_json(encode_event(told))
    assert event.data.reason == "overlap"
    assert event.data.scheduled_for == NOW


def test_a_long_error_is_cut() -> None:
    failed = transitions.fail(
        transitions.claim(queued(), lease(), NOW),
        Failure(ErrorCategory.PERMANENT, "x" * 1_000_000),
        NOW,
        DAY,
    )
    *_, told = lifecycle_events(failed, failed.history)
    event = ExecutionEvent.model_validate_json(encode_event(told))
    assert event.data.error is not None
    assert event.data.error.message == "x" * LONGEST_MESSAGE


@given(
    *[st.text(st.characters(exclude_categories=["Cs"]), min_size=1)] * 3, st.sampled_from(Milestone)
)
def test_any_text_survives_the_message(
    name: str, workflow_id: str, trigger: str, milestone: Milestone
) -> None:
    execution = queued(workflow_id=workflow_id).evolve(id=name, trigger_id=trigger)
    event = LifecycleEvent(milestone, execution, 3, NOW, error=Failure(OOPS.category, name))
    read = ExecutionEvent.model_validate_json(encode_event(event))
    data = read.data
    assert (data.execution_id, data.workflow_id, data.trigger) == (name, workflow_id, trigger)
    assert (read.subject, read.id) == (name, f"{name}:3")
    assert data.status is STATUS_AFTER[milestone]


@pytest.mark.parametrize("milestone", Milestone)
def test_the_type_carries_milestone_and_version(milestone: Milestone) -> None:
    event = LifecycleEvent(milestone, queued(), 1, NOW)
    read = ExecutionEvent.model_validate_json(encode_event(event))
    assert read.type == f"workflows.execution.{milestone.value}.v1"
    assert read.model_dump(mode="json", by_alias=True, exclude_none=True)["data"] == {
        "executionId": queued().id,
        "tenant": "default",
        "workflowId": "hello",
        "version": 1,
        "trigger": "manual",
        "status": STATUS_AFTER[milestone].value,
        "seq": 1,
        "at": "2026-01-01T00:00:00.000Z",
    }


def test_a_claim_ahead_of_the_instant_is_the_start_and_a_second_one_is_not() -> None:
    waiting = queued(scheduled_for=NOW + 2 * SECOND)
    won = transitions.claim(waiting, lease(), NOW)
    first = started(won, NOW)
    assert first is not None
    assert (first.milestone, first.seq, first.at) == (Milestone.STARTED, 2, NOW)
    assert first in list(lifecycle_of(won, NOW))
    again = transitions.claim(transitions.release(won, NOW), lease("t2"), NOW + SECOND)
    assert started(again, NOW + SECOND) is None
