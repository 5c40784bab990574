"""Settings of the runner service."""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from shared.domain.durations import Duration
from shared.runtime.settings import Count, ServiceSettings


class RunnerSettings(ServiceSettings):
    """The shared settings and those of running actions."""

    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on.")] = 8083
    runner_concurrency: Annotated[
        Count, Field(description="How many executions one runner works on at once.")
    ] = 1000
    runner_batch: Annotated[
        Count, Field(le=5000, description="How many executions one claim asks for at most.")
    ] = 500
    lease_renewal: Annotated[
        Duration, Field(description="How often a runner renews its leases.")
    ] = timedelta(seconds=10)
    http_allow_private_addresses: Annotated[
        bool,
        Field(description="Let `http-request` reach loopback, private and link-local addresses."),
    ] = False
    http_concurrency: Annotated[
        Count, Field(description="How many HTTP requests one runner has under way at once.")
    ] = 500
    http_response_limit: Annotated[
        int, Field(ge=0, description="Bytes of a response that are read at most.")
    ] = 2**20
    http_body_kept: Annotated[
        int, Field(ge=0, le=2**19, description="Bytes of a response body kept in the history.")
    ] = 4096

    @model_validator(mode="after")
    def _renews_in_time(self) -> Self:
        if not timedelta() < self.lease_renewal <= self.lease / 2:
            raise ValueError("LEASE_RENEWAL must be longer than 0 and at most half of LEASE")
        return self
