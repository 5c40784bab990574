"""Why an execution is where it is: one sentence per state, and the instant it names."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared.domain import transitions
from shared.domain.definition import WorkflowDefinition
from shared.domain.execution import (
    ActionState,
    ActionStatus,
    Ending,
    ErrorCategory,
    Execution,
    Failure,
    Skip,
    SkipReason,
    Status,
)
from shared.domain.plan import Plan
from shared.domain.why import why
from tests.support.builders import NOW, SECOND, definition, queued, running

MINUTE = timedelta(minutes=1)
NO = Failure(ErrorCategory.RECOVERABLE, "HTTP 500")
DONE = ActionState(ActionStatus.COMPLETED, 1, ended_seq=3)


def plan(**more: object) -> Plan:
    graph: WorkflowDefinition = definition(
        actions=[
            {"id": "a", "type": "log", "message": "x", "needs": [], "retry": {"retries": 3}},
            {"id": "b", "type": "log", "message": "x", "needs": [], **more},
        ]
    )
    return Plan(graph)


def suspended(status: Status, until: datetime = NOW + MINUTE, **actions: ActionState) -> Execution:
    return queued(status=status, next_attempt_at=until, wake_at=until, actions=actions)


def backoff(attempts: int = 1, at: datetime = NOW + MINUTE) -> ActionState:
    return ActionState(ActionStatus.PENDING, attempts, error=NO, next_attempt_at=at)


def ended(status: Status, error: Failure | None = None) -> Execution:
    return queued(status=status, finished_at=NOW, error=error, active_key=None, wake_at=None)


def skipped(reason: SkipReason) -> Execution:
    return transitions.skip(queued(), Skip(reason, NOW, NOW, 1), MINUTE)


TIMER = ActionState(ActionStatus.WAITING, 1, next_attempt_at=NOW + MINUTE)
UNKNOWN = ActionState(
    ActionStatus.UNKNOWN, 1, error=Failure(ErrorCategory.UNKNOWN_OUTCOME, "reset")
)
ENDING = Ending(Status.FAILED, ("b", "a"), NO)
UNASKED = "It does not know whether the call of 'a' had its effect (reset), and waits for an "

CASES = {
    "queued": (
        queued(),
        (
            "It has been queued since 2026-01-01T00:00:00.000Z, and no runner has taken it yet; "
            "the scheduler announces it again at 2026-01-01T00:00:30.000Z."
        ),
        NOW + 30 * SECOND,
    ),
    "running": (
        running(actions={"a": backoff()._replace(next_attempt_at=NOW)}),
        (
            "Runner runner runs 'a', 'b', with a lease until 2026-01-01T00:00:30.000Z "
            "that it keeps renewing."
        ),
        NOW + 30 * SECOND,
    ),
    "running a call that must not be made twice": (
        running(actions={"a": ActionState(ActionStatus.STARTED), "b": DONE}),
        (
            "Runner runner runs 'a', with a lease until 2026-01-01T00:00:30.000Z that it keeps "
            "renewing."
        ),
        NOW + 30 * SECOND,
    ),
    "in backoff": (
        suspended(Status.PENDING, a=backoff(), b=DONE),
        (
            "'a' failed (HTTP 500, recoverable) at attempt 1; it is retried at "
            "2026-01-01T00:01:00.000Z, with 2 retries left after that."
        ),
        NOW + MINUTE,
    ),
    "in backoff for the last time, with a timer": (
        suspended(Status.PENDING, a=backoff(3, NOW + 2 * MINUTE), b=TIMER),
        (
            "The delay 'b' lasts until 2026-01-01T00:01:00.000Z; 'a' failed "
            "(HTTP 500, recoverable) at attempt 3; it is retried at 2026-01-01T00:02:00.000Z, "
            "with no retries left after that."
        ),
        NOW + MINUTE,
    ),
    "waiting for a timer": (
        suspended(Status.WAITING, a=TIMER, b=DONE),
        "The delay 'a' lasts until 2026-01-01T00:01:00.000Z.",
        NOW + MINUTE,
    ),
    "waiting for an operator": (
        suspended(Status.WAITING, NOW + timedelta(days=1), a=UNKNOWN),
        f"{UNASKED}operator's answer about that.",
        None,
    ),
    "undoing, which no timeout ends, and waiting for an operator": (
        replace(
            suspended(Status.WAITING, a=UNKNOWN),
            deadline=NOW + MINUTE,
            ending=Ending(Status.CANCELLED, ("a",)),
        ),
        (
            "What 'a' did is being undone, because it is to be cancelled: it does not know whether "
            "the call of 'a' had its effect (reset), and waits for an operator's answer about that."
        ),
        None,
    ),
    "waiting for an operator, but not for ever": (
        replace(suspended(Status.WAITING, a=UNKNOWN), deadline=NOW + MINUTE),
        (
            f"{UNASKED}operator's answer about that, at the latest by "
            "2026-01-01T00:01:00.000Z, when its timeout ends it."
        ),
        NOW + MINUTE,
    ),
    "waiting for a timer and an operator": (
        suspended(Status.WAITING, a=UNKNOWN, b=TIMER),
        (
            "The delay 'b' lasts until 2026-01-01T00:01:00.000Z; it does not know whether the "
            "call of 'a' had its effect (reset), and waits for an operator's answer about that."
        ),
        NOW + MINUTE,
    ),
    "about to be cancelled": (
        queued(ending=Ending(Status.CANCELLED, ("a",)), wake_at=NOW),
        (
            "What 'a' did is being undone, because it is to be cancelled: it has been queued since "
            "2026-01-01T00:00:00.000Z, and no runner has taken it yet; the scheduler announces it "
            "again at 2026-01-01T00:00:00.000Z."
        ),
        NOW,
    ),
    "completed": (
        ended(Status.COMPLETED),
        "It completed at 2026-01-01T00:00:00.000Z: every action did what it was to do.",
        None,
    ),
    "failed": (
        ended(Status.FAILED, NO),
        "It failed at 2026-01-01T00:00:00.000Z: HTTP 500, recoverable.",
        None,
    ),
    "cancelled": (ended(Status.CANCELLED), "It was cancelled at 2026-01-01T00:00:00.000Z.", None),
    "skipped": (
        skipped(SkipReason.OVERLAP),
        "It did not run (overlap): another execution held the workflow when it was due.",
        None,
    ),
}


@pytest.mark.parametrize(("execution", "sentence", "until"), CASES.values(), ids=list(CASES))
def test_why(execution: Execution, sentence: str, until: datetime | None) -> None:
    found = why(plan(), execution, NOW)
    assert (found.sentence, found.until) == (sentence, until)


@pytest.mark.parametrize("execution", [case[0] for case in CASES.values()], ids=list(CASES))
def test_without_its_plan_an_execution_still_says_why(execution: Execution) -> None:
    found = why(None, execution, NOW)
    assert found.sentence.endswith(".")
    assert found.until == why(plan(), execution, NOW).until


def test_a_runner_that_is_gone_is_not_said_to_run_it() -> None:
    found = why(plan(), running(), NOW + MINUTE)
    assert found.sentence == (
        "Runner runner, which ran 'a', 'b', let its lease end at 2026-01-01T00:00:30.000Z; "
        "the next runner takes over."
    )


def test_a_compensation_is_named_with_the_failure_that_led_to_it() -> None:
    saga = Plan(
        definition(
            actions=[
                {
                    "id": key,
                    "type": "log",
                    "message": "x",
                    "compensate": [
                        {
                            "id": f"undo-{key}",
                            "type": "log",
                            "message": "x",
                            "retry": {"retries": 1},
                        }
                    ],
                }
                for key in ("a", "b")
            ]
        )
    )
    actions = {"a": DONE, "b": DONE, "undo-b": backoff()}
    execution = replace(suspended(Status.PENDING), actions=actions, ending=ENDING)
    found = why(saga, execution, NOW)
    assert found.sentence == (
        "What 'b', 'a' did is being undone, because HTTP 500, recoverable: 'undo-b' failed "
        "(HTTP 500, recoverable) at attempt 1; it is retried at 2026-01-01T00:01:00.000Z, "
        "with no retries left after that."
    )
    held = running(actions={"a": DONE, "b": DONE}, ending=ENDING)
    assert "runs 'undo-b', with" in why(saga, held, NOW).sentence


def test_what_waits_for_its_instant_in_a_runners_hands_says_so() -> None:
    early = why(plan(), running(scheduled_for=NOW + SECOND), NOW)
    assert early.sentence == (
        "Runner runner has it ready, and waits for its instant, 2026-01-01T00:00:01.000Z."
    )
    assert early.until == NOW + SECOND


def test_an_action_that_is_retried_for_ever_says_so() -> None:
    execution = suspended(Status.PENDING, b=backoff(9))
    assert "and so on until it succeeds" in why(plan(onError="retry"), execution, NOW).sentence


@pytest.mark.parametrize("reason", SkipReason)
def test_every_reason_for_a_skip_has_words(reason: SkipReason) -> None:
    assert f"({reason})" in why(None, skipped(reason), NOW).sentence
