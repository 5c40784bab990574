"""The bodies of the commands on executions."""

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic.alias_generators import to_camel

from shared.domain.backfill import Existing
from shared.domain.definition import ActionId
from shared.domain.errors import FieldProblem, InvalidInput
from shared.domain.instants import Instant
from shared.domain.operations import Resolution
from shared.domain.pause import MAX_REASON
from shared.domain.problems import describe
from shared.domain.storable import check_storable
from workflows_svc.use_cases.repeat import Edited

_MODEL = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


class ResolveBody(BaseModel):
    """What an operator knows, or wants, of a call whose outcome is unknown."""

    model_config = _MODEL

    resolution: Resolution
    output: JsonValue = None


class PauseBody(BaseModel):
    """Why a workflow's schedule is to be halted."""

    model_config = _MODEL

    reason: Annotated[str, Field(min_length=1, max_length=MAX_REASON)]


class BackfillBody(BaseModel):
    """Which instants to run after the fact; with `dryRun`, only to say so."""

    model_config = _MODEL

    since: Annotated[Instant, Field(alias="from")]
    until: Annotated[Instant, Field(alias="to")]
    existing: Existing = Existing.NONE
    dry_run: Annotated[bool, Field(strict=True)] = False


class RerunBody(BaseModel):
    """What to change when an execution is run anew."""

    model_config = _MODEL

    input: JsonValue = None

    @property
    def edited(self) -> Edited | None:
        """The new input, if one is given; null is one."""
        return Edited(self.input) if "input" in self.model_fields_set else None


class ReplayBody(RerunBody):
    """From which action on to repeat an execution, and what to change."""

    from_action: ActionId


B = TypeVar("B", bound=BaseModel)


def read_body(model: type[B], body: JsonValue) -> B:
    """Return what a body means. Raises InvalidInput that names every wrong field."""
    if not isinstance(body, dict):
        raise InvalidInput([FieldProblem("", "must be a JSON object")])
    try:
        return model.model_validate(body)
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise InvalidInput(describe(found, body, model)) from error


def pause_body(body: JsonValue) -> PauseBody:
    """Return why to pause. Raises InvalidInput."""
    check_storable(body)
    return read_body(PauseBody, body)


def backfill_body(body: JsonValue) -> BackfillBody:
    """Return what to backfill. Raises InvalidInput."""
    return read_body(BackfillBody, body)


def resolve_body(body: JsonValue) -> ResolveBody:
    """Return an operator's answer. Raises InvalidInput."""
    answer = read_body(ResolveBody, body)
    if "output" in answer.model_fields_set and answer.resolution is not Resolution.HAPPENED:
        said = f"is possible only with the resolution '{Resolution.HAPPENED}'"
        raise InvalidInput([FieldProblem("/output", said)])
    return answer
