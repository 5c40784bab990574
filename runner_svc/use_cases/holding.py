"""An execution in this runner's hands."""

from dataclasses import dataclass
from datetime import datetime

from shared.domain.execution import Execution


@dataclass(slots=True, eq=False)
class Holding:
    """The state an execution has reached here, and until when it is this runner's own."""

    execution: Execution
    lease_until: datetime
    recording: bool = False
    """While an outcome is being written the work is not aborted: the fence decides."""

    waited_for: bool = False
    """Whether others may wait for its end, so that it must be made known."""

    @classmethod
    def of(cls, execution: Execution) -> "Holding":
        """Return the holding of an execution that was claimed."""
        if execution.lease is None:
            raise ValueError(f"execution {execution.id} was not claimed")
        return cls(execution, execution.lease.until)
