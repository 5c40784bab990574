"""Start with `python -m runner_svc`."""

from runner_svc import bootstrap
from runner_svc.settings import RunnerSettings
from shared.runtime.lifecycle import run
from shared.runtime.logging import configure_logging
from shared.runtime.settings import load


async def main() -> None:
    """Read the settings and run the service."""
    settings = load(RunnerSettings)
    configure_logging(bootstrap.SERVICE, settings.log_level, settings.log_format)
    await bootstrap.run(settings)


if __name__ == "__main__":
    run(main)
