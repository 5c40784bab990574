"""What each process used while something was measured."""

from dataclasses import dataclass
from pathlib import Path

import psutil

Usage = dict[str, dict[str, float]]


@dataclass(frozen=True)
class UsageMeter:
    """CPU seconds since the meter was made, and the peak of the memory ever held."""

    processes: dict[str, psutil.Process]
    before: dict[str, float]

    @classmethod
    def start(cls, processes: dict[str, psutil.Process]) -> "UsageMeter":
        return cls(processes, {name: _cpu_seconds(p) for name, p in processes.items()})

    def read(self) -> Usage:
        return {
            name: {
                "cpu_seconds": round(_cpu_seconds(process) - self.before[name], 2),
                "peak_memory_mb": round(_peak_megabytes(process), 1),
            }
            for name, process in self.processes.items()
        }


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _peak_megabytes(process: psutil.Process) -> float:
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float(process.memory_info().rss) / 2**20
