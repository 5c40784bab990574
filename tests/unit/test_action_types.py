"""The list of registered actions: what an author, or an editor, needs to use one."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from prometheus_client import CollectorRegistry

from shared.domain.actions import BUILT_IN_ACTIONS
from shared.domain.catalogue import ActionCatalogue, ActionSpec, Effect
from shared.domain.parameters import parameters_schema
from shared.domain.retry import RetryPolicy
from shared.runtime.health import Health
from tests.unit.bench import OnceAction
from workflows_svc.app import create_app

PAY = ActionSpec(OnceAction, Effect.AT_MOST_ONCE, RetryPolicy(retries=1), timedelta(seconds=90))
CATALOGUE = ActionCatalogue([*BUILT_IN_ACTIONS, PAY])


@pytest.fixture
async def listed() -> dict[str, dict[str, Any]]:
    app = create_app(Health(), CollectorRegistry(), CATALOGUE, 2**20)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        answer = await client.get("/actions")
    assert answer.status_code == 200
    return {item["name"]: item for item in answer.json()["items"]}


async def test_every_registered_action_is_listed_by_name(listed: dict[str, Any]) -> None:
    assert list(listed) == sorted(CATALOGUE.types)


async def test_an_action_says_what_repeating_it_does_and_its_defaults(
    listed: dict[str, Any],
) -> None:
    assert listed["log"]["effect"] == "pure"
    assert listed["http-request"]["effect"] == "idempotent"
    assert listed["http-request"]["summary"].startswith("Sends an HTTP request.")
    pay = listed["once"]
    assert (pay["effect"], pay["timeout"], pay["retry"]["retries"]) == ("at-most-once", "90s", 1)
    assert "timeout" not in listed["log"]
    assert "retry" not in listed["log"]


@pytest.mark.parametrize("spec", CATALOGUE.specs, ids=lambda spec: spec.name)
def test_parameters_are_a_schema_of_their_own_without_the_envelope(spec: ActionSpec) -> None:
    schema = parameters_schema(spec)
    Draft202012Validator.check_schema(schema)
    properties = schema["properties"].keys()
    assert not properties & {"id", "type", "needs", "when", "runIf", "forEach", "compensate"}
    assert set(schema["required"]) <= properties
    assert "ActionDefinition" not in schema.get("$defs", {})


@pytest.mark.parametrize("spec", BUILT_IN_ACTIONS, ids=lambda spec: spec.name)
def test_every_parameter_is_described(spec: ActionSpec) -> None:
    fields = parameters_schema(spec)["properties"]
    assert [name for name, field in fields.items() if not field.get("description")] == []


def test_the_schema_accepts_good_parameters_and_refuses_bad_ones() -> None:
    http = next(spec for spec in CATALOGUE.specs if spec.name == "http-request")
    check = Draft202012Validator(parameters_schema(http)).is_valid
    assert check({"url": "https://example.com", "timeouts": {"total": "1s"}})
    assert not check({"timeouts": {"total": "1s"}})
    assert not check({"url": "https://example.com", "timeouts": {"forever": "1s"}})
    assert not check({"url": "https://example.com", "colour": "red"})
