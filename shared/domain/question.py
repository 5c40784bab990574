"""A question about an instant of a schedule, and what is answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.execution import Execution
from shared.domain.moments import Moment
from shared.domain.workflow import Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is known of an instant: the records that stand for it, and whom they met.

    The first record of a trigger is that of the schedule itself, the others are backfills.
    `lasts` has the last instants on record of triggers that have come to their end, by their
    ids; `holders` what held the workflow when an occurrence came, by the record's id.
    """

    workflow: Workflow
    instant: datetime
    now: datetime
    retention: timedelta
    lasts: Mapping[str, datetime] = field(default_factory=dict)
    records: tuple[Execution, ...] = ()
    holders: Mapping[str, Execution] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Account:
    """The sentence, the record it tells of, and the nearest instants if there is none."""

    sentence: str
    record: Execution | None = None
    moment: Moment | None = None


def joined(accounts: Sequence[Account]) -> Account:
    """Return what several accounts tell, with the first record that one of them tells of."""
    record = next((account.record for account in accounts if account.record), None)
    sentence = " ".join(account.sentence for account in accounts)
    return Account(sentence, record, None if record else accounts[0].moment)
