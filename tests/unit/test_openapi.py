"""The API's description of itself: complete, and true where a test can tell."""

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

import httpx
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from prometheus_client import CollectorRegistry

from shared.contracts.api import workflow_view
from shared.domain.errors import InvalidInput
from shared.domain.workflow import create
from shared.runtime.health import Health
from tests.support.builders import CATALOGUE, NOW, TENANT
from tests.support.servers import ROOT
from workflows_svc.api.examples import definition_body
from workflows_svc.app import create_app

Json = dict[str, Any]
PROBLEM: Final = "application/problem+json"
JSON: Final = "application/json"
EXAMPLES: Final = sorted((ROOT / "examples").glob("*.json"))
MANUAL: Final = {"type": "manual"}
LOG: Final = {"type": "log", "message": "hi"}
HTTP: Final = {"type": "http-request", "url": "https://example.com"}

INVALID: Final = {400, 413, 415, 422}
"""What a route with a body may answer to one that it cannot take."""
ROUTES: Final = {
    "POST /workflows": {201, 200, 409, 503, *INVALID},
    "GET /workflows": {200, 422, 503},
    "GET /workflows/{workflow_id}": {200, 404, 503},
    "PUT /workflows/{workflow_id}": {200, 404, 409, 412, 503, *INVALID},
    "PATCH /workflows/{workflow_id}": {200, 404, 409, 412, 503, *INVALID},
    "DELETE /workflows/{workflow_id}": {204, 400, 404, 409, 412, 422, 503},
    "POST /workflows/{workflow_id}/trigger": {202, 404, 409, 503, *INVALID},
    "POST /workflows/{workflow_id}/pause": {200, 404, 409, 503, *INVALID},
    "POST /workflows/{workflow_id}/resume": {200, 404, 409, 503},
    "POST /workflows/{workflow_id}/backfill": {200, 404, 503, *INVALID},
    "GET /workflows/{workflow_id}/occurrences": {200, 404, 422, 503},
    "GET /workflows/{workflow_id}/occurrences/{instant}/why": {200, 404, 422, 503},
    "GET /executions": {200, 422, 503},
    "GET /executions/{execution_id}": {200, 404, 503},
    "GET /executions/verification": {200, 422, 503},
    "GET /executions/{execution_id}/history": {200, 404, 422, 503},
    "GET /executions/{execution_id}/why": {200, 404, 503},
    "POST /executions/{execution_id}/cancel": {200, 404, 409, 503},
    "POST /executions/{execution_id}/actions/{action}/resolve": {200, 404, 409, 503, *INVALID},
    "POST /executions/{execution_id}/retry": {200, 404, 409, 503},
    "POST /executions/{execution_id}/replay": {202, 404, 409, 503, *INVALID},
    "POST /executions/{execution_id}/rerun": {202, 404, 409, 503, *INVALID},
    "GET /actions": {200},
    "GET /dead-letters": {200, 422, 503},
    "GET /dead-letters/{letter_id}": {200, 404, 503},
    "POST /dead-letters/{letter_id}/requeue": {200, 404, 409, 503},
    "POST /dead-letters/{letter_id}/discard": {200, 404, 409, 503},
    "GET /schemas/workflow.json": {200},
    "GET /health": {200, 503},
    "GET /health/live": {200},
    "GET /health/ready": {200, 503},
    "GET /metrics": {200},
}
"""The routes of the acceptance scenarios, and answers that each must at least describe."""

APP: Final = create_app(Health(), CollectorRegistry(), CATALOGUE, 2**20)
DOCUMENT: Final = APP.openapi()


OPERATIONS: Final[dict[str, Json]] = {
    f"{method.upper()} {path}": operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}


HEALTH: Final = [
    route for route, operation in OPERATIONS.items() if operation["tags"] == ["health"]
]
UNSTORED: Final = {*HEALTH, "GET /schemas/workflow.json", "GET /actions"}
STORED: Final = [route for route in OPERATIONS if route not in UNSTORED]
"""Those that need the database."""


def found(node: Any, key: str) -> Iterator[Any]:
    """Yield every value that stands under a key, however deep."""
    if isinstance(node, dict):
        if key in node:
            yield node[key]
        for value in node.values():
            yield from found(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from found(value, key)


def test_every_route_of_the_scenarios_is_described() -> None:
    assert OPERATIONS.keys() >= ROUTES.keys()


@pytest.mark.parametrize("route", OPERATIONS)
def test_a_route_says_what_it_is_for_and_how_it_may_answer(route: str) -> None:
    operation = OPERATIONS[route]
    assert operation["summary"]
    assert operation["tags"]
    assert operation["description"]
    answers = operation["responses"]
    assert {int(status) for status in answers} >= ROUTES.get(route, set())
    assert all(answer["description"] for answer in answers.values())


def test_every_route_has_an_id_of_its_own() -> None:
    ids = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("route", [route for route in OPERATIONS if route not in HEALTH])
def test_a_described_refusal_is_a_problem_document(route: str) -> None:
    answers = OPERATIONS[route]["responses"].items()
    refusals = [a["content"] for status, a in answers if int(status) >= HTTPStatus.BAD_REQUEST]
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    assert refusals == [{PROBLEM: problem}] * len(refusals)


async def test_an_answer_is_described_with_the_type_that_it_has(client: httpx.AsyncClient) -> None:
    for path in ("/schemas/workflow.json", "/metrics", "/health/live", "/health/ready", "/health"):
        answer = await client.get(path)
        described = OPERATIONS[f"GET {path}"]["responses"][str(answer.status_code)]
        (media_type,) = described["content"]
        assert answer.headers["content-type"].partition(";")[0] == media_type


def test_every_reference_leads_somewhere() -> None:
    references = set(found(DOCUMENT, "$ref"))
    assert references
    for reference in references:
        node = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_the_schemas_are_schemas() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def defaults(node: Any) -> Iterator[Json]:
    if isinstance(node, dict):
        if "default" in node:
            yield node
        for below in node.values():
            yield from defaults(below)
    elif isinstance(node, list):
        for below in node:
            yield from defaults(below)


def test_a_default_is_what_its_field_takes() -> None:
    found = list(defaults(DOCUMENT["components"]["schemas"]))
    assert {"30s", "5m"} <= {node["default"] for node in found if isinstance(node["default"], str)}
    for node in found:
        rooted = {**node, "components": DOCUMENT["components"]}
        assert list(Draft202012Validator(rooted).iter_errors(node["default"])) == [], node


def bodies() -> list[Any]:
    """Return route, schema and value of every example of a request body."""
    return [
        pytest.param(content["schema"], case["value"], id=f"{route} {name}")
        for route, operation in OPERATIONS.items()
        for content in [operation.get("requestBody", {}).get("content", {}).get(JSON)]
        if content
        for name, case in content["examples"].items()
    ]


@pytest.mark.parametrize(("schema", "value"), bodies())
def test_an_example_of_a_body_follows_its_own_schema(schema: Json, value: Any) -> None:
    rooted = {**schema, "components": DOCUMENT["components"]}
    assert list(Draft202012Validator(rooted).iter_errors(value)) == []
    if schema.get("$ref") == "#/components/schemas/WorkflowDefinition":
        assert CATALOGUE.parse(value).workflow_id == value["workflowId"]


def test_every_route_with_a_body_gives_an_example() -> None:
    given = {route for route, op in OPERATIONS.items() if "requestBody" in op}
    assert given == {
        "POST /workflows",
        "PUT /workflows/{workflow_id}",
        "PATCH /workflows/{workflow_id}",
        "POST /workflows/{workflow_id}/trigger",
        "POST /workflows/{workflow_id}/pause",
        "POST /workflows/{workflow_id}/backfill",
        "POST /executions/{execution_id}/actions/{action}/resolve",
        "POST /executions/{execution_id}/replay",
        "POST /executions/{execution_id}/rerun",
    }
    assert len(bodies()) >= len(given)


@pytest.mark.parametrize(
    "document",
    [
        *(json.loads(path.read_text()) for path in EXAMPLES),
        *definition_body()["requestBody"]["content"][JSON]["examples"].values(),
    ],
    ids=lambda document: document.get("workflowId", document.get("summary")),
)
def test_what_the_api_shows_follows_its_description(document: Json) -> None:
    definition = CATALOGUE.parse(document.get("value", document))
    shown = workflow_view(create(TENANT, definition, 1, NOW), ())
    body = json.loads(shown.model_dump_json(by_alias=True, exclude_none=True))
    schema = {"$ref": "#/components/schemas/WorkflowView", "components": DOCUMENT["components"]}
    assert list(Draft202012Validator(schema).iter_errors(body)) == []


@pytest.fixture
def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(APP), base_url="http://api")


async def test_the_document_is_served(client: httpx.AsyncClient) -> None:
    assert (await client.get("/openapi.json")).json() == DOCUMENT
    assert (await client.get("/docs")).status_code == HTTPStatus.OK


@pytest.mark.parametrize("route", STORED)
async def test_a_route_answers_503_until_the_database_is_there(
    client: httpx.AsyncClient, route: str
) -> None:
    method, path = route.split()
    body: Json | None = {} if method in {"POST", "PUT", "PATCH"} else None
    answer = await client.request(method, path.replace("{", "").replace("}", ""), json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (503, PROBLEM)
    assert "503" in OPERATIONS[route]["responses"]
    assert int(answer.headers["retry-after"]) > 0
    schema = {"$ref": "#/components/schemas/Problem", "components": DOCUMENT["components"]}
    assert list(Draft202012Validator(schema).iter_errors(answer.json())) == []


@pytest.fixture
async def validator(client: httpx.AsyncClient) -> Draft202012Validator:
    """What an editor gets to check definitions with."""
    answer = await client.get("/schemas/workflow.json")
    assert answer.headers["content-type"] == "application/schema+json"
    schema = answer.json()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
async def test_the_schema_accepts_every_example(validator: Draft202012Validator, path: Any) -> None:
    assert list(validator.iter_errors(json.loads(path.read_text()))) == []


def definition(**changes: Any) -> Json:
    """Return a small definition with some members changed; None leaves one out."""
    members = {"workflowId": "hello", "trigger": MANUAL, "actions": [LOG], **changes}
    return {name: value for name, value in members.items() if value is not None}


def every(interval: Any) -> Json:
    return definition(trigger={"type": "periodic", "interval": interval})


BAD: Final = {
    "no workflowId": definition(workflowId=None),
    "workflowId with a slash": definition(workflowId="a/b"),
    "workflowId too long": definition(workflowId="a" * 129),
    "no trigger": definition(trigger=None),
    "a trigger and triggers": definition(triggers=[MANUAL]),
    "no triggers in the list": definition(trigger=None, triggers=[]),
    "too many triggers": definition(trigger=None, triggers=[MANUAL] * 11),
    "a trigger with a blank in its id": definition(trigger={**MANUAL, "id": "a b"}),
    "trigger without a type": definition(trigger={}),
    "unknown trigger": definition(trigger={"type": "lunar"}),
    "periodic without an interval": definition(trigger={"type": "periodic"}),
    "manual with an interval": definition(trigger={**MANUAL, "interval": "1s"}),
    "interval of an unknown unit": every("10x"),
    "interval with a blank": every(" 10s"),
    "negative interval": every("-5m"),
    "interval as a number": every(10),
    "no actions": definition(actions=None),
    "empty actions": definition(actions=[]),
    "too many actions": definition(actions=[LOG] * 101),
    "actions that are no list": definition(actions=LOG),
    "unknown action": definition(actions=[{"type": "teleport"}]),
    "log without a message": definition(actions=[{"type": "log"}]),
    "unknown level": definition(actions=[{**LOG, "level": "loud"}]),
    "no url": definition(actions=[{"type": "http-request"}]),
    "unknown method": definition(actions=[{**HTTP, "method": "BREW"}]),
    "unknown timeout": definition(actions=[{**HTTP, "timeouts": {"forever": "1s"}}]),
    "too many redirects": definition(actions=[{**HTTP, "followRedirects": 11}]),
    "unknown member of an action": definition(actions=[{**LOG, "colour": "red"}]),
    "unknown member": definition(colour="red"),
    "negative retries": definition(retry={"retries": -1}),
    "retries as text": definition(retry={"retries": "3"}),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=list(BAD))
async def test_the_schema_refuses_what_the_api_refuses(
    validator: Draft202012Validator, bad: Json
) -> None:
    assert list(validator.iter_errors(bad))
    with pytest.raises(InvalidInput):
        CATALOGUE.parse(bad)
