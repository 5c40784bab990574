"""From messages to executions in hand: one claim for a batch, poison put aside."""

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from runner_svc.metrics import RunnerMetrics
from shared.domain.errors import Unavailable
from shared.domain.execution import Execution, Lease
from shared.domain.outcomes import Timing
from shared.ports.bus import Delivery, RecordPublisher
from shared.ports.clock import Clock
from shared.ports.dead_letters import DeadLetter, DeadLetterRepository
from shared.ports.executions import Claim, ExecutionRepository

log = structlog.get_logger(__name__)
_LARGEST_SKEW: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class ClaimExecutions:
    """Turns a batch of deliveries into executions that this runner owns.

    Raises Unavailable when the storage does not answer; calling again with the
    same lease continues where it stopped, as a claim may have half succeeded.
    """

    executions: ExecutionRepository
    dead_letters: DeadLetterRepository
    records: RecordPublisher
    clock: Clock
    timing: Timing
    metrics: RunnerMetrics
    owner: str
    new_token: Callable[[], str]

    def new_lease(self, deliveries: Sequence[Delivery]) -> Lease:
        """Return a lease from now on, with a token of its own."""
        now = self._now(deliveries)
        return Lease(self.owner, self.new_token(), now + self.timing.lease)

    async def __call__(
        self, deliveries: Sequence[Delivery], lease: Lease, held: Collection[str]
    ) -> tuple[Execution, ...]:
        """Claim what the deliveries ask for, except what this runner holds already."""
        for delivery in deliveries:
            if delivery.problem is not None:
                await self._put_aside(delivery, delivery.problem)
        asked = {d.request.execution_id for d in deliveries if d.request}
        wanted = sorted(asked.difference(held))
        if not wanted:
            return ()
        claim = await self.executions.claim(wanted, lease, self._now(deliveries))
        self._count(deliveries, len(wanted), claim)
        return claim.won

    def _now(self, deliveries: Sequence[Delivery]) -> datetime:
        """The later of this clock and the sender's: a retry must not look early for a few ms."""
        now = self.clock.now()
        sent = [d.request.emitted_at for d in deliveries if d.request]
        return max([now, *(at for at in sent if at - now < _LARGEST_SKEW)])

    async def _put_aside(self, delivery: Delivery, reason: str) -> None:
        record, now = delivery.record, self.clock.now()
        origin = (
            f"{record.topic}/{record.partition}/{record.offset}/{record.timestamp.timestamp()}/"
        )
        letter = DeadLetter(
            id=hashlib.sha256(origin.encode() + record.value).hexdigest()[:32],
            record=record,
            reason=reason,
            received_at=now,
            expires_at=now + self.timing.retention,
        )
        if not await self.dead_letters.add(letter):
            return
        self.metrics.dead_letters.inc()
        log.warning(
            "request.poison", reason=reason, partition=record.partition, offset=record.offset
        )
        try:
            await self.records.dead_letter(record, reason)
        except Unavailable as error:
            log.warning("request.poison_not_copied", dead_letter=letter.id, why=error.reason)

    def _count(self, deliveries: Sequence[Delivery], wanted: int, claim: Claim) -> None:
        metrics, won = self.metrics, claim.won
        metrics.claim_batch.observe(len(won))
        metrics.recoveries.inc(claim.recovered)
        newer = sum(1 for d in deliveries if d.request is None and d.problem is None)
        refused = wanted - claim.unknown - len(won)
        dropped = {"unknown": claim.unknown, "not-claimable": refused, "newer": newer}
        for reason, count in dropped.items():
            if count:
                metrics.requests_dropped.labels(reason).inc(count)
        for execution in won:
            if execution.started_at is not None and execution.attempt == 1:
                waited = execution.started_at - execution.created_at
                metrics.queue_age.observe(max(waited.total_seconds(), 0))
