"""Settings of the scheduler service."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from shared.domain.durations import Duration
from shared.runtime.settings import Count, ServiceSettings


class SchedulerSettings(ServiceSettings):
    """The shared settings and those of scheduling."""

    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on.")] = 8082
    scheduler_batch: Annotated[
        Count, Field(le=5000, description="How many due workflows are fired in one go.")
    ] = 1000
    scheduler_lead: Annotated[
        Duration,
        Field(
            ge=timedelta(),
            le=timedelta(seconds=5),
            description="So long before its instant an occurrence is queued; its runner waits "
            "for the instant.",
        ),
    ] = timedelta(seconds=1)
    scheduler_read_ahead: Annotated[
        Count, Field(description="How many due items one poll reads at most; the rest follows.")
    ] = 20_000
