"""The HTTP application of the workflows service. A new API version is one more router."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from prometheus_client import CollectorRegistry

from shared.domain.catalogue import ActionCatalogue
from shared.domain.durations import DefinitionSchema
from shared.runtime.health import Health, health_router
from workflows_svc.api import (
    actions,
    backfills,
    dead_letters,
    executions,
    occurrences,
    operations,
    pauses,
    problems,
    schedules,
    schemas,
    workflows,
)
from workflows_svc.metrics import RequestMetrics

_DESCRIPTION = """\
Define workflows, trigger them, and ask what became of them.

Errors are problem documents (RFC 9457, `application/problem+json`) that name the wrong field.
"""
_ROUTES = (
    workflows,
    pauses,
    schedules,
    occurrences,
    backfills,
    executions,
    operations,
    dead_letters,
    actions,
    schemas,
)
_REFERENCE = "#/components/schemas/{model}"


def create_app(
    health: Health, registry: CollectorRegistry, catalogue: ActionCatalogue, body_limit: int
) -> FastAPI:
    """Return the app. Its routes answer 503 until `app.state.services` is set."""
    app = FastAPI(title="Workflows", version="1", description=_DESCRIPTION)
    app.state.services = None
    app.state.catalogue = catalogue
    app.state.body_limit = body_limit
    app.add_middleware(RequestMetrics, registry=registry)
    problems.install(app)
    app.include_router(health_router(health, registry))
    for routes in _ROUTES:
        app.include_router(routes.router)
    app.openapi = lambda: _openapi(app, catalogue)  # type: ignore[method-assign]
    return app


def _openapi(app: FastAPI, catalogue: ActionCatalogue) -> dict[str, Any]:
    """Return FastAPI's document with the schemas that it cannot see in the routes."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        schemas_there = document["components"]["schemas"]
        for model in (catalogue.model, problems.Problem):
            schema = model.model_json_schema(
                ref_template=_REFERENCE, schema_generator=DefinitionSchema
            )
            schemas_there.update(schema.pop("$defs", {}))
            schemas_there[model.__name__] = schema
        app.openapi_schema = document
    return app.openapi_schema
