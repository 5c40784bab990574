"""Start with `python -m workflows_svc`."""

from shared.runtime.lifecycle import run
from shared.runtime.logging import configure_logging
from shared.runtime.settings import load
from workflows_svc import bootstrap
from workflows_svc.settings import WorkflowsSettings


async def main() -> None:
    """Read the settings and run the service."""
    settings = load(WorkflowsSettings)
    configure_logging(bootstrap.SERVICE, settings.log_level, settings.log_format)
    await bootstrap.run(settings)


if __name__ == "__main__":
    run(main)
