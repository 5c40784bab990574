"""What the API shows of an execution: all of its state, items with their forEach."""

from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from prometheus_client import CollectorRegistry

from shared.contracts.api import workflow_view
from shared.contracts.executions import execution_summary, execution_view
from shared.domain import transitions
from shared.domain.execution import (
    ActionState,
    ActionStatus,
    Ending,
    ErrorCategory,
    EventType,
    Execution,
    Failure,
    Origin,
    Status,
)
from shared.runtime.health import Health
from tests.support.builders import CATALOGUE, NOW, SECOND, queued, running, workflow
from workflows_svc.app import create_app

NO = Failure(ErrorCategory.PERMANENT, "no")
DOCUMENT = create_app(Health(), CollectorRegistry(), CATALOGUE, 2**20).openapi()


def shown(execution: Execution) -> dict[str, Any]:
    """Return what the API answers, which must be what it describes."""
    view = execution_view(execution)
    body: dict[str, Any] = view.model_dump(mode="json", by_alias=True, exclude_none=True)
    schema = {"$ref": "#/components/schemas/ExecutionView", "components": DOCUMENT["components"]}
    assert list(Draft202012Validator(schema).iter_errors(body)) == []
    return body


def test_every_state_of_an_action_is_shown() -> None:
    execution = running(
        actions={
            "pending": ActionState(
                ActionStatus.PENDING, 2, NOW, NOW, error=NO, next_attempt_at=NOW + SECOND
            ),
            "skipped": ActionState(ActionStatus.SKIPPED, finished_at=NOW, reason="condition"),
            "tolerated": ActionState(ActionStatus.FAILED, 1, error=NO, tolerated=True),
        }
    )
    pending, skipped, tolerated = shown(execution)["actions"]
    assert pending["nextAttemptAt"] == "2026-01-01T00:00:01.000Z"
    assert (skipped["status"], skipped["reason"]) == ("skipped", "condition")
    assert tolerated["tolerated"] is True
    assert "tolerated" not in pending
    assert "items" not in pending


@pytest.mark.parametrize("status", ActionStatus)
def test_every_status_of_an_action_can_be_shown(status: ActionStatus) -> None:
    (action,) = shown(running(actions={"a": ActionState(status)}))["actions"]
    assert action["status"] == status.value


def test_items_stand_with_their_for_each_by_index() -> None:
    done = ActionState(ActionStatus.COMPLETED, 1, NOW, NOW, output="done")
    failed = ActionState(ActionStatus.FAILED, 1, NOW, NOW, error=NO)
    execution = running(
        actions={
            "each": ActionState(ActionStatus.EXPANDED, items=12),
            "each[10]": done,
            "each[2]": failed,
            "each[0]": done,
            "eachother": done,
        }
    )
    each, other = shown(execution)["actions"]
    assert (each["id"], each["count"], other["id"]) == ("each", 12, "eachother")
    assert [(i["id"], i["index"], i["status"]) for i in each["items"]] == [
        ("each[0]", 0, "completed"),
        ("each[2]", 2, "failed"),
        ("each[10]", 10, "completed"),
    ]
    assert each["output"] == ["done", *[None] * 9, "done", None]


def test_a_for_each_without_items_gives_an_empty_list() -> None:
    empty = ActionState(ActionStatus.COMPLETED, 1, items=0)
    (each,) = shown(running(actions={"each": empty}))["actions"]
    assert (each["items"], each["output"]) == ([], [])


def test_origin_deadline_and_ending_are_shown_also_in_lists() -> None:
    execution = queued(
        origin=Origin("replay", "default:hello:manual:0", "b"),
        deadline=NOW + SECOND,
        ending=Ending(Status.CANCELLED, ("b", "a"), NO),
    )
    listed = execution_summary(execution).model_dump(mode="json", by_alias=True, exclude_none=True)
    for seen in (shown(execution), listed):
        assert seen["origin"] == {
            "kind": "replay",
            "executionId": "default:hello:manual:0",
            "action": "b",
        }
        assert seen["deadline"] == "2026-01-01T00:00:01.000Z"
        assert seen["ending"] == {
            "status": "cancelled",
            "undoing": ["b", "a"],
            "error": {"category": "permanent", "message": "no"},
        }


def test_events_show_all_that_they_carry() -> None:
    execution = replace(running(), deadline=NOW + SECOND)
    execution = transitions.happen(
        execution, EventType.ACTION_EXPANDED, NOW, action="each", started_at=NOW, items=3
    )
    execution = transitions.complete_action(
        execution, "a", attempt=1, started_at=NOW, output={"x": None}, now=NOW, retries_left=5
    )
    execution = transitions.fail_action(execution, "b", NO, NOW, attempt=1, tolerated=True)
    execution = transitions.start_compensation(execution, ["a"], NO, NOW)
    *_, expanded, completed, tolerated, compensating = shown(execution)["history"]
    assert expanded["count"] == 3
    assert (completed["output"], completed["retriesLeft"]) == ({"x": None}, 5)
    assert len(completed["digest"]) == 16
    assert (tolerated["tolerated"], tolerated["error"]["category"]) == (True, "permanent")
    assert (compensating["undoing"], compensating["error"]["message"]) == (["a"], "no")
    assert shown(queued())["history"][0]["retriesLeft"] == 3


def test_a_reused_output_is_shown_with_the_event_that_took_it_over() -> None:
    execution = transitions.happen(
        queued(), EventType.ACTION_REUSED, NOW, action="a", attempt=1, output="kept", digest="d"
    )
    assert shown(execution)["history"][-1]["output"] == "kept"


def test_a_workflow_shows_its_limits_and_the_schema_of_its_input() -> None:
    limits: dict[str, Any] = {
        "concurrency": 2,
        "timeout": "1h",
        "inputSchema": {"type": ["object", "null"], "default": None},
    }
    view = workflow_view(workflow(**limits), ())
    body = view.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert {name: body[name] for name in limits} == limits
    plain = workflow_view(workflow(), ()).model_dump(mode="json", by_alias=True)
    assert plain["inputSchema"] is None
