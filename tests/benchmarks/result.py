"""What one run of one workload gave."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.benchmarks.usage import Usage


@dataclass(frozen=True)
class Result:
    """The figures of a workload, and what each process used for them."""

    workload: str
    figures: Mapping[str, float | Mapping[str, float]]
    usage: Usage

    def as_json(self) -> dict[str, object]:
        """Return the object that is written to the file."""
        return {**self.figures, "processes": self.usage}

    def rows(self) -> Iterator[tuple[str, float]]:
        """Yield each figure with its name, `late_ms.p99` for one within another."""
        for name, value in self.figures.items():
            if isinstance(value, Mapping):
                yield from ((f"{name}.{part}", each) for part, each in value.items())
            else:
                yield name, value

    def figure(self, name: str) -> float:
        """Return one figure by its name. Raises KeyError."""
        return dict(self.rows())[name]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that `share` of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * share // 1))
    return ordered[int(rank) - 1]
