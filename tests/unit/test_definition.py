"""What a definition means: its defaults and its one form."""

from typing import Any

import pytest

from shared.domain.actions import HttpRequestAction, LogAction
from shared.domain.catalogue import definition_text, normalised
from shared.domain.retry import RetryPolicy
from shared.domain.triggers import PeriodicTrigger
from tests.support.builders import CATALOGUE, SECOND, definition
from tests.unit.documents import EXAMPLE, HTTP, LOG


def test_the_normalised_form_has_canonical_durations_and_every_default() -> None:
    document = {**EXAMPLE, "trigger": {"type": "periodic", "interval": "3600s"}}
    assert normalised(CATALOGUE.parse(document)) == {
        "workflowId": "recurrent-workflow",
        "trigger": {"type": "periodic", "interval": "1h"},
        "actions": [
            {
                "id": "http-request-1",
                "type": "http-request",
                "url": "https://example.com",
                "method": "GET",
                "headers": {},
                "query": {},
                "timeouts": {"total": "30s", "connect": "5s", "read": "30s"},
                "followRedirects": 5,
            }
        ],
        "retry": {
            "retries": 3,
            "backoff": {"initial": "2s", "factor": 2, "max": "5m", "jitter": 0.2},
        },
    }


def test_a_definition_reads_as_typed_values() -> None:
    parsed = CATALOGUE.parse(EXAMPLE)
    assert parsed.trigger == PeriodicTrigger(type="periodic", interval=10 * SECOND)
    (action,) = parsed.actions
    assert isinstance(action, HttpRequestAction)
    assert (action.key, action.method) == ("http-request-1", "GET")


def test_actions_get_ids_from_type_and_position_unless_they_have_one() -> None:
    parsed = definition(actions=[LOG, {**LOG, "id": "mine"}, HTTP, LOG])
    assert [action.key for action in parsed.actions] == ["log-1", "mine", "http-request-3", "log-4"]


def test_an_action_outside_a_definition_has_no_key() -> None:
    with pytest.raises(ValueError, match="gets its id from the workflow"):
        _ = LogAction(type="log", message="hi").key


def test_the_policy_of_an_action_is_its_own_or_the_workflows() -> None:
    parsed = definition(actions=[{**LOG, "retry": {"retries": 7}}, LOG], retry={"retries": 1})
    assert [parsed.retry_policy(action).retries for action in parsed.actions] == [7, 1]
    assert definition().retry_policy(definition().actions[0]) == RetryPolicy()


@pytest.mark.parametrize(
    "other",
    [
        {**EXAMPLE, "trigger": {"interval": "10s", "type": "periodic"}},
        {**EXAMPLE, "trigger": {"type": "periodic", "interval": "010s"}},
        {**EXAMPLE, "actions": [{**HTTP, "method": "get", "body": None, "headers": {}}]},
        {**EXAMPLE, "actions": [{**HTTP, "id": "http-request-1", "retry": None}]},
        {**EXAMPLE, "actions": [{**HTTP, "timeouts": {"total": "30000ms"}}]},
        {**EXAMPLE, "retry": {}},
        {**EXAMPLE, "retry": {"retries": 3, "backoff": {"factor": 2.0, "max": "300s"}}},
    ],
)
def test_definitions_that_mean_the_same_are_equal(other: dict[str, Any]) -> None:
    one, same = CATALOGUE.parse(EXAMPLE), CATALOGUE.parse(other)
    assert same == one
    assert definition_text(same) == definition_text(one)


@pytest.mark.parametrize(
    "other",
    [
        {**EXAMPLE, "workflowId": "Recurrent-workflow"},
        {**EXAMPLE, "trigger": {"type": "manual"}},
        {**EXAMPLE, "trigger": {"type": "periodic", "interval": "11s"}},
        {**EXAMPLE, "actions": [HTTP, HTTP]},
        {**EXAMPLE, "actions": [{**HTTP, "id": "call"}]},
        {**EXAMPLE, "actions": [{**HTTP, "body": ""}]},
        {**EXAMPLE, "actions": [{**HTTP, "retry": {}}]},
        {**EXAMPLE, "retry": {"retries": 2}},
    ],
)
def test_definitions_that_mean_something_else_are_not_equal(other: dict[str, Any]) -> None:
    one, another = CATALOGUE.parse(EXAMPLE), CATALOGUE.parse(other)
    assert another != one
    assert definition_text(another) != definition_text(one)


def test_a_compensation_that_sends_a_request_is_written_down_and_read_back() -> None:
    undoing: Any = [{**HTTP, "id": "undo", "headers": {"X-Undo": "yes"}}]
    one = CATALOGUE.parse({**EXAMPLE, "actions": [{**HTTP, "compensate": undoing}]})
    assert CATALOGUE.restore_text(definition_text(one)) == one
    assert CATALOGUE.restore(normalised(one)) == one
