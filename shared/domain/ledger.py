"""The ledger: what became of each instant of a schedule, told by the executions themselves."""

from datetime import datetime
from enum import StrEnum

from shared.domain.execution import Execution, Status


class OccurrenceOutcome(StrEnum):
    """What became of an occurrence. A `buffered` one fires when its workflow is free."""

    FIRED = "fired"
    SKIPPED = "skipped"
    BUFFERED = "buffered"


def outcome_of(record: Execution) -> OccurrenceOutcome:
    """Return what a record says of the occurrence, or the range of them, that it stands for."""
    if record.skip is not None:
        return OccurrenceOutcome.SKIPPED
    if record.status is Status.BUFFERED:
        return OccurrenceOutcome.BUFFERED
    return OccurrenceOutcome.FIRED


def first_of(record: Execution) -> datetime:
    """Return the first instant that a record stands for."""
    return record.scheduled_for or record.created_at


def last_of(record: Execution) -> datetime:
    """Return the last instant that a record stands for."""
    return record.skip.last if record.skip else first_of(record)
