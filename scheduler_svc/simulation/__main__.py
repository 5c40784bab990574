"""`python -m scheduler_svc.simulation`: a request on standard input, the report on the output."""

import asyncio
import sys

from scheduler_svc.simulation.bootstrap import simulate
from shared.bootstrap import installed_catalogue
from shared.contracts.simulation import SimulationRequest
from shared.runtime.logging import configure_logging


def main() -> None:
    """Simulate, and print the report; only errors are logged, which end it anyway."""
    configure_logging("simulation", "error")
    request = SimulationRequest.model_validate_json(sys.stdin.buffer.read())
    report = asyncio.run(simulate(request, installed_catalogue()))
    sys.stdout.write(report.model_dump_json(by_alias=True, exclude_none=True) + "\n")


if __name__ == "__main__":
    main()
