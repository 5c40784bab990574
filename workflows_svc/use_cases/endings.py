"""The last instants of triggers that have come to their end, as the ledger knows them."""

from datetime import datetime

from shared.domain.ledger import last_of
from shared.domain.moments import ended
from shared.domain.workflow import Workflow
from shared.ports.ledger import OccurrenceLedger


async def last_instants(ledger: OccurrenceLedger, workflow: Workflow) -> dict[str, datetime]:
    """Return the last instant on record of each trigger that has ended, by the trigger's id.

    Nothing is asked of the storage while all triggers go on. Raises Unavailable.
    """
    records = {
        name: await ledger.latest(workflow.tenant, workflow.id, name) for name in ended(workflow)
    }
    return {name: last_of(record) for name, record in records.items() if record is not None}
