"""Routes that describe the definitions to programs and editors."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from shared.domain.catalogue import ActionCatalogue

router = APIRouter(prefix="/schemas", tags=["schemas"])


class SchemaResponse(JSONResponse):
    """A JSON Schema."""

    media_type = "application/schema+json"


@router.get(
    "/workflow.json",
    response_class=SchemaResponse,
    summary="JSON Schema of a workflow definition",
)
async def workflow_schema(request: Request) -> SchemaResponse:
    """Return the schema that definitions are checked against, for editors and CI."""
    catalogue: ActionCatalogue = request.app.state.catalogue
    schema: dict[str, Any] = catalogue.json_schema()
    return SchemaResponse(schema)
