"""What the scheduler counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class SchedulerMetrics:
    """The scheduler's metrics, in a registry of its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.fired = Counter(
            "occurrences_fired", "Occurrences that were queued.", registry=registry
        )
        self.buffered = Counter(
            "occurrences_buffered",
            "Occurrences that had to wait for a slot of their workflow.",
            registry=registry,
        )
        self.promoted = Counter(
            "executions_promoted", "Buffered executions that were queued.", registry=registry
        )
        self.skipped = Counter(
            "occurrences_skipped",
            "Occurrences that were recorded as skipped, by reason.",
            ["reason"],
            registry=registry,
        )
        self.paused = Counter(
            "workflows_paused", "Workflows paused by `pauseOnFailure`.", registry=registry
        )
        self.lateness = Histogram(
            "fire_lateness_seconds",
            "From the instant an occurrence was due to its being queued.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.emitted = Counter(
            "executions_emitted",
            "Executions announced again: due retries, lost messages, dead runners.",
            registry=registry,
        )
        self.polls = Histogram(
            "poll_seconds", "How long one poll took.", buckets=_SECONDS, registry=registry
        )
        self.due = Gauge("due_read", "Items the last poll found due soon.", registry=registry)
        self.backlog = Gauge(
            "due_backlog_seconds",
            "How long the oldest of what the last poll read has been due, 0 if nothing was.",
            registry=registry,
        )
        self.orphans = Gauge(
            "orphans", "Unfinished executions that nothing would wake.", registry=registry
        )
        self.members = Gauge("scheduler_members", "Live schedulers.", registry=registry)
        self.shards = Gauge("scheduler_shards", "Shards this scheduler handles.", registry=registry)
        self.republished = Counter(
            "execution_events_republished",
            "Lifecycle events sent from storage, after a crash or a long absence of Kafka.",
            registry=registry,
        )
