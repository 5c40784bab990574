"""Settings of the workflows service."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from shared.domain.durations import Duration
from shared.runtime.settings import ServiceSettings


class WorkflowsSettings(ServiceSettings):
    """The shared settings and those of the API."""

    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on.")] = 8081
    mongodb_timeout: Annotated[
        Duration, Field(description="How long one database operation may take.")
    ] = timedelta(seconds=2)
    body_limit: Annotated[
        int, Field(ge=1024, le=8 * 2**20, description="Largest request body, in bytes.")
    ] = 2**20
