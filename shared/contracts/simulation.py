"""What is asked of a simulation of schedules, and what it answers; both as JSON documents."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, JsonValue

from shared.contracts.cloudevents import Instant
from shared.contracts.schedules import WarningView
from shared.contracts.views import View
from shared.domain.durations import Duration, PositiveDuration


class SimulationRequest(View):
    """Which definitions are simulated, over what time, and how long an execution takes."""

    definitions: list[JsonValue]
    since: Annotated[Instant | None, Field(description="By default, now.")] = None
    length: PositiveDuration
    takes: Duration


class Refusal(View):
    """What is wrong with one of the definitions, by its position."""

    definition: int
    pointer: str
    detail: str


class SimulatedOccurrence(View):
    """What became of one instant, or of several that were skipped together."""

    at: Instant
    workflow_id: str
    trigger: Annotated[
        str | None, Field(description="The id of its trigger, where there are several.")
    ] = None
    outcome: Annotated[
        str,
        Field(description="fired; buffered, if it waits until the end; or why it was skipped."),
    ]
    count: int = 1
    starts_at: Annotated[
        Instant | None, Field(description="When it starts, if it is buffered until then.")
    ] = None
    replaced_at: Annotated[
        Instant | None, Field(description="When it is cancelled, as a newer one takes its place.")
    ] = None


class SimulatedWorkflow(View):
    """What became of one workflow."""

    workflow_id: str
    fires: Annotated[int, Field(description="How many started.")]
    buffered: Annotated[int, Field(description="How many of the fires had to wait first.")] = 0
    replaced: Annotated[int, Field(description="How many of the fires were cancelled.")] = 0
    waiting: Annotated[int, Field(description="How many still wait at the end.")] = 0
    skipped: Mapping[str, int]
    triggers: Annotated[
        Mapping[str, int] | None,
        Field(description="Of several triggers, how many occurrences each has."),
    ] = None
    occurrences: Annotated[int, Field(description="How many it has, listed or not.")] = 0
    warnings: list[WarningView]


class MinuteLoad(View):
    """How often workflows fired in one minute of the day (UTC), over all days."""

    minute: Annotated[str, Field(examples=["02:30"])]
    fires: int


class SimulationReport(View):
    """What schedulers would do. If something was refused, nothing was simulated."""

    since: Instant
    until: Annotated[Instant, Field(description="Up to when; earlier than asked if not complete.")]
    complete: bool = True
    refused: tuple[Refusal, ...] = ()
    workflows: tuple[SimulatedWorkflow, ...] = ()
    most_running: Annotated[int, Field(description="Executions at once, at most.")] = 0
    load: Annotated[list[MinuteLoad], Field(description="The minutes in which something fired.")]
    occurrences: Annotated[list[SimulatedOccurrence], Field(description="The first of them.")]
    more_occurrences: Annotated[int, Field(description="How many are not listed.")] = 0
