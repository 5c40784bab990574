"""How to reach Kafka, and how to behave there."""

import ssl
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiokafka.helpers import create_ssl_context

from shared.contracts.topics import Topics


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSettings:
    """Everything the Kafka adapters need to know.

    `idempotent` and `fetch_max_wait` differ for the embedded broker: it knows no
    idempotent producers, and it answers a waiting fetch late, so waits are short.
    `join_timeout` must outlast a rebalance: the embedded broker takes 5 s for one.
    """

    bootstrap_servers: str
    client_id: str
    topics: Topics
    partitions: int
    replication_factor: int
    idempotent: bool
    fetch_max_wait: timedelta
    request_timeout: timedelta = timedelta(seconds=5)
    join_timeout: timedelta = timedelta(seconds=30)
    session_timeout: timedelta = timedelta(seconds=10)
    watch_interval: timedelta = timedelta(seconds=2)
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "PLAIN"
    sasl_username: str | None = None
    sasl_password: str | None = None
    ssl_ca_file: Path | None = None

    def connection(self) -> dict[str, Any]:
        """Return the keyword arguments that every aiokafka client takes."""
        return {
            "bootstrap_servers": self.bootstrap_servers,
            "client_id": self.client_id,
            "request_timeout_ms": milliseconds(self.request_timeout),
            "security_protocol": self.security_protocol,
            "sasl_mechanism": self.sasl_mechanism,
            "sasl_plain_username": self.sasl_username,
            "sasl_plain_password": self.sasl_password,
            "ssl_context": self._ssl_context(),
        }

    def _ssl_context(self) -> ssl.SSLContext | None:
        if not self.security_protocol.endswith("SSL"):
            return None
        context: ssl.SSLContext = create_ssl_context(cafile=self.ssl_ca_file)
        return context


def milliseconds(length: timedelta) -> int:
    """Return a length in whole milliseconds."""
    return length // timedelta(milliseconds=1)
