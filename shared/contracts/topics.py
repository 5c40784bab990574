"""The names of the topics. A prefix lets several installations share one broker."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one installation."""

    prefix: str = ""

    @property
    def requests(self) -> str:
        """Execution requests, shared among the runners; the key is the workflow id."""
        return f"{self.prefix}execution-requests"

    @property
    def dead_letters(self) -> str:
        """Messages from `requests` that no runner could understand."""
        return f"{self.requests}.dlq"

    @property
    def notices(self) -> str:
        """Hints that every scheduler and runner reads."""
        return f"{self.prefix}notices"

    @property
    def events(self) -> str:
        """Lifecycle events of executions, for anyone; the key is the workflow id."""
        return f"{self.prefix}execution-events"

    @property
    def group(self) -> str:
        """The consumer group of the runners."""
        return f"{self.prefix}runners"
