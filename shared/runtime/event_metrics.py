"""What a service counts of the lifecycle events that it publishes."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class EventMetrics:
    """The metrics of an EventJournal, in the registry of its service."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.published = Counter(
            "execution_events_published", "Lifecycle events that were sent.", registry=registry
        )
        self.deferred = Counter(
            "execution_events_deferred",
            "Lifecycle events dropped from memory; a scheduler sends them from storage.",
            registry=registry,
        )
        self.waiting = Gauge(
            "execution_events_waiting", "Lifecycle events waiting to be sent.", registry=registry
        )
        self.behind = Gauge(
            "execution_events_behind_seconds",
            "Age of the oldest lifecycle event that this process has yet to send; 2 at rest.",
            registry=registry,
        )
