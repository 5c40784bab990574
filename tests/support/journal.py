"""The journal that the test action `journal` keeps: who ran what, and when."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Run:
    """One call of one action."""

    at: float
    execution_id: str
    action_id: str
    attempt: int


@dataclass(frozen=True)
class Journal:
    """A file to which runners append one line per run."""

    path: Path

    def action(self, **more: Any) -> dict[str, Any]:
        """Return an action that notes its runs here."""
        return {"type": "journal", "file": str(self.path), **more}

    def runs(self) -> list[Run]:
        """Return all runs, in the order in which they began."""
        if not self.path.exists():
            return []
        lines = (line.split() for line in self.path.read_text().splitlines())
        return [Run(float(at), execution, action, int(n)) for at, execution, action, n in lines]

    def counts(self) -> Counter[tuple[str, str]]:
        """Return how often each action of each execution ran."""
        return Counter((run.execution_id, run.action_id) for run in self.runs())
