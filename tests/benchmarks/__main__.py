"""`make bench`: measures each workload on servers and services of its own."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median_low
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.benchmarks import herd, poll, throughput, trigger_to_start
from tests.benchmarks.result import Result

FILE: Final = Path(".local/bench/latest.json")
_RUNS: Final = 3


def main() -> None:
    """Measure, show and keep the figures."""
    console = Console(width=100)
    results = [
        _median(console, "one_step", throughput.one_step, "executions_per_second"),
        _median(console, "three_step", throughput.three_step, "executions_per_second"),
        _median(console, "trigger_to_start_ms", trigger_to_start.measure, "p99"),
        _median(console, "herd", herd.measure, "late_ms.p99"),
        _median(console, "poll", poll.measure, "ratio_1m_to_1k", runs=1),
    ]
    console.print(_figures(results))
    for result in results:
        console.print(_usage(result))
    FILE.parent.mkdir(parents=True, exist_ok=True)
    document = {result.workload: result.as_json() for result in results}
    FILE.write_text(json.dumps(document, indent=2) + "\n")
    console.print(f"written to {FILE}")


def _median(
    console: Console,
    name: str,
    measure: Callable[[], Awaitable[Result]],
    key: str,
    runs: int = _RUNS,
) -> Result:
    """Measure a few times, each on a fresh platform, and return the run in the middle."""
    results: list[Result] = []
    for number in range(1, runs + 1):
        with console.status(f"{name}: run {number} of {runs}"):
            results.append(asyncio.run(_awaited(measure)))
        console.print(f"{name}: run {number} of {runs}: {key} {results[-1].figure(key):,g}")
    middle = median_low(result.figure(key) for result in results)
    return next(result for result in results if result.figure(key) == middle)


async def _awaited(measure: Callable[[], Awaitable[Result]]) -> Result:
    return await measure()


def _figures(results: list[Result]) -> Table:
    table = Table("workload", "measure", "value", title=f"The middle one of {_RUNS} runs")
    table.columns[2].justify = "right"
    for result in results:
        for number, (name, value) in enumerate(result.rows()):
            table.add_row("" if number else result.workload, name, f"{value:,.10g}")
    return table


def _usage(result: Result) -> Table:
    table = Table("process", "CPU seconds", "peak memory MB", title=f"{result.workload}: cost")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, used in result.usage.items():
        table.add_row(name, f"{used['cpu_seconds']:.2f}", f"{used['peak_memory_mb']:.1f}")
    return table


if __name__ == "__main__":
    main()
