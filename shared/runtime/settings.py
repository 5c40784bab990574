"""Settings that every service shares, read once from environment variables.

A variable that is almost the name of a setting is refused rather than ignored.
"""

import difflib
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.domain.durations import Duration
from shared.domain.errors import Misconfigured
from shared.domain.outcomes import Timing

Count = Annotated[int, Field(ge=1)]
_LAST_PORT = 65535
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def check_servers(servers: str) -> str:
    """Return `servers`; raise ValueError unless it is host:port, or several with commas."""
    for server in servers.split(","):
        host, _, port = server.strip().rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) <= _LAST_PORT:
            raise ValueError(f"'{server}' must be host:port, such as 127.0.0.1:9092")
    return servers


def _check_names(names: str) -> str:
    for name in filter(None, map(str.strip, names.split(","))):
        if not _NAME.fullmatch(name):
            raise ValueError(f"'{name}' must be the name of an environment variable")
        if name.startswith("SECRET_"):
            raise ValueError(f"'{name}' is a secret; expressions must not read it")
    return names


class ServiceSettings(BaseSettings):
    """What a service needs to know wherever it runs."""

    model_config = SettingsConfigDict(
        case_sensitive=False, extra="ignore", frozen=True, validate_default=True
    )

    host: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on.")]
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="Least level to log.")
    ] = "info"
    log_format: Annotated[
        Literal["auto", "console", "json"],
        Field(description="`auto`: console on a terminal, else JSON lines."),
    ] = "auto"

    mongodb_uri: Annotated[
        SecretStr, Field(description="MongoDB, a replica set (one node is enough).")
    ] = SecretStr("mongodb://127.0.0.1:27017/?replicaSet=rs0")
    mongodb_database: Annotated[str, Field(description="Name of the database.")] = "workflows"
    mongodb_timeout: Annotated[
        Duration, Field(description="How long one database operation may take.")
    ] = timedelta(seconds=10)

    kafka_bootstrap_servers: Annotated[
        str, AfterValidator(check_servers), Field(description="Kafka, as host:port,….")
    ] = "127.0.0.1:9092"
    kafka_topic_prefix: Annotated[
        str, Field(description="Put before every topic and group name.")
    ] = ""
    kafka_partitions: Annotated[
        Count,
        Field(
            description="Partitions of `execution-requests` (at most so many runners share it) "
            "and of `execution-events`."
        ),
    ] = 4
    kafka_replication_factor: Annotated[Count, Field(description="Replicas of each topic.")] = 1
    kafka_idempotent_producer: Annotated[
        bool, Field(description="Off for brokers that do not support it, such as the embedded one.")
    ] = True
    kafka_fetch_max_wait: Annotated[
        Duration, Field(description="How long the broker may hold back a fetch.")
    ] = timedelta(milliseconds=500)
    kafka_session_timeout: Annotated[
        Duration, Field(description="After how long a silent runner loses its partitions.")
    ] = timedelta(seconds=10)
    kafka_security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
        Field(description="How connections to Kafka are secured."),
    ] = "PLAINTEXT"
    kafka_sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
        Field(description="How the services log in, with a SASL protocol."),
    ] = "PLAIN"
    kafka_sasl_username: Annotated[str | None, Field(description="The name to log in with.")] = None
    kafka_sasl_password: Annotated[
        SecretStr | None, Field(description="The password to log in with.")
    ] = None
    kafka_ssl_ca_file: Annotated[
        Path | None, Field(description="Certificates to trust, instead of the system's.")
    ] = None

    execution_events: Annotated[
        bool, Field(description="Publish lifecycle events on the topic `execution-events`.")
    ] = True

    expression_env: Annotated[
        str,
        AfterValidator(_check_names),
        Field(description="Variables that expressions may read as `env.NAME`, as NAME,NAME,…."),
    ] = ""

    poll_interval: Annotated[
        Duration, Field(description="How often the scheduler asks the database what is due.")
    ] = timedelta(seconds=5)
    lease: Annotated[
        Duration, Field(description="How long a runner owns an execution without renewing.")
    ] = timedelta(seconds=30)
    resend: Annotated[
        Duration, Field(description="After how long an unclaimed execution is announced again.")
    ] = timedelta(seconds=30)
    resend_max: Annotated[
        Duration, Field(description="The wait between announcements doubles up to this.")
    ] = timedelta(minutes=5)
    drain: Annotated[
        Duration, Field(description="How long a stopping service may finish its work.")
    ] = timedelta(seconds=20)
    retention: Annotated[
        Duration, Field(description="How long finished executions and dead letters are kept.")
    ] = timedelta(days=30)
    max_recoveries: Annotated[
        int, Field(ge=0, description="How many runners an execution may lose before it fails.")
    ] = 5

    @property
    def expression_names(self) -> tuple[str, ...]:
        """The environment variables that expressions may read."""
        return tuple(filter(None, map(str.strip, self.expression_env.split(","))))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.retention < timedelta(hours=24):
            raise ValueError("RETENTION must be at least 24h, as long as an Idempotency-Key lives")
        if self.poll_interval <= timedelta() or self.lease <= timedelta():
            raise ValueError("POLL_INTERVAL and LEASE must be longer than 0")
        named = self.kafka_sasl_username and self.kafka_sasl_password
        if self.kafka_security_protocol.startswith("SASL") and not named:
            raise ValueError(
                f"KAFKA_SECURITY_PROTOCOL {self.kafka_security_protocol} needs "
                "KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
            )
        return self

    @property
    def timing(self) -> Timing:
        """The waits that the core decides with."""
        return Timing(
            lease=self.lease,
            resend=self.resend,
            resend_max=max(self.resend, self.resend_max),
            retention=self.retention,
            max_recoveries=self.max_recoveries,
        )


S = TypeVar("S", bound=ServiceSettings)
_SHORTEST_NAME = 8


def load(settings: type[S], environment: Mapping[str, str] = os.environ) -> S:
    """Read the settings; raise Misconfigured naming every variable that is wrong."""
    _refuse_misspelt(settings, environment)
    try:
        return settings()
    except ValidationError as error:
        lines = [f"{_variable(e['loc'])}: {e['msg']}" for e in error.errors(include_input=False)]
        raise Misconfigured("Wrong settings. " + "; ".join(lines)) from error


def _refuse_misspelt(settings: type[S], environment: Mapping[str, str]) -> None:
    known = {name.upper() for name in settings.model_fields}
    present = {name.upper() for name in environment}
    for name in sorted(present - known):
        close = difflib.get_close_matches(name, known - present, n=1, cutoff=0.9)
        if close and len(name) >= _SHORTEST_NAME:
            raise Misconfigured(
                f"The variable {name} is set, but there is no such setting. "
                f"Did you mean {close[0]}?"
            )


def _variable(location: tuple[int | str, ...]) -> str:
    return str(location[0]).upper() if location else "settings"
