"""What one run of one workload gave."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.benchmarks.usage import Usage


@dataclass(frozen=True)
class Result:
    """The figures of a workload, and what each process used for them."""

    workload: str
    figures: Mapping[str, float]
    usage: Usage

    def as_json(self) -> dict[str, object]:
        """Return the object that is written to the file."""
        return {**self.figures, "processes": self.usage}


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that `share` of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * share // 1))
    return ordered[int(rank) - 1]
