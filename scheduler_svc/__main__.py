"""Start with `python -m scheduler_svc`."""

from scheduler_svc import bootstrap
from scheduler_svc.settings import SchedulerSettings
from shared.runtime.lifecycle import run
from shared.runtime.logging import configure_logging
from shared.runtime.settings import load


async def main() -> None:
    """Read the settings and run the service."""
    settings = load(SchedulerSettings)
    configure_logging(bootstrap.SERVICE, settings.log_level, settings.log_format)
    await bootstrap.run(settings)


if __name__ == "__main__":
    run(main)
