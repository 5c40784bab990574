"""What the runner counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class RunnerMetrics:
    """The runner's metrics, in a registry of its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.outcomes = Counter(
            "executions", "Executions that ended, by outcome.", ["outcome"], registry=registry
        )
        self.lateness = Histogram(
            "execution_lateness_seconds",
            "From the instant a scheduled execution was due to its start.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.queue_age = Histogram(
            "execution_queue_age_seconds",
            "From the creation of an execution to its first claim.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.in_flight = Gauge(
            "executions_in_flight", "Executions this runner works on.", registry=registry
        )
        self.claim_batch = Histogram(
            "claim_batch_size",
            "Executions won per claim.",
            buckets=(0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
            registry=registry,
        )
        self.record_batch = Histogram(
            "record_batch_size",
            "State changes per write.",
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
            registry=registry,
        )
        self.retries = Counter("retries", "Retries that were scheduled.", registry=registry)
        self.recoveries = Counter(
            "recoveries", "Executions taken over after their lease ran out.", registry=registry
        )
        self.late_results = Counter(
            "late_results_rejected",
            "Results refused because the execution had moved on.",
            registry=registry,
        )
        self.leases_lost = Counter(
            "leases_lost", "Executions that were taken from this runner.", registry=registry
        )
        self.dead_letters = Counter(
            "dead_letters", "Messages that could not be understood.", registry=registry
        )
        self.requests_dropped = Counter(
            "requests_dropped", "Requests left alone, by reason.", ["reason"], registry=registry
        )
        self.dropped_wakeups = Counter(
            "wakeups_dropped",
            "Messages that were not sent; the sweep makes up for them.",
            registry=registry,
        )
