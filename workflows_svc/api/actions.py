"""Routes on the types of action that definitions may use."""

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field, JsonValue

from shared.contracts.api import Page
from shared.contracts.views import View
from shared.domain.catalogue import ActionCatalogue, ActionSpec
from shared.domain.durations import format_duration
from shared.domain.parameters import parameters_schema

router = APIRouter(prefix="/actions", tags=["actions"])


class ActionTypeView(View):
    """A type of action."""

    name: Annotated[str, Field(description="What a definition gives as `type`.")]
    summary: str
    effect: Annotated[
        str,
        Field(
            description="What calling it once more does.",
            examples=["pure", "idempotent", "at-most-once"],
        ),
    ]
    retry: Annotated[
        dict[str, JsonValue] | None, Field(description="The policy where a definition has none.")
    ] = None
    timeout: Annotated[
        str | None, Field(description="How long an attempt may take, unless a definition says.")
    ] = None
    parameters: Annotated[
        dict[str, JsonValue],
        Field(description="JSON Schema of the parameters; expressions may stand for values."),
    ]


@router.get(
    "", response_model_exclude_none=True, summary="List the types of action that are registered"
)
async def list_actions(request: Request) -> Page[ActionTypeView]:
    """Return what a definition may use, built in or added by installed packages."""
    catalogue: ActionCatalogue = request.app.state.catalogue
    specs = sorted(catalogue.specs, key=lambda spec: spec.name)
    return Page(items=[_view(spec) for spec in specs])


def _view(spec: ActionSpec) -> ActionTypeView:
    parameters: dict[str, Any] = parameters_schema(spec)
    return ActionTypeView(
        name=spec.name,
        summary=spec.summary,
        effect=spec.effect.value,
        retry=spec.retry.model_dump(mode="json", by_alias=True) if spec.retry else None,
        timeout=format_duration(spec.timeout) if spec.timeout else None,
        parameters=parameters,
    )
