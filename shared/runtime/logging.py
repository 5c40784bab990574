"""Log lines: one stable `event` key each, for a machine as JSON, for a person on the console."""

import logging
import os
import sys
import time
from typing import Final, Literal

import structlog
from pydantic_core import to_json
from structlog.typing import EventDict, Processor, WrappedLogger

from shared.runtime.line_buffer import LineBuffer

_MILLISECOND: Final = 1_000_000
_LEVELS = {"warn": "warning", "exception": "error"}
_NOISY = {"aiokafka": logging.CRITICAL, "pymongo": logging.WARNING, "uvicorn": logging.WARNING}


def configure_logging(
    service: str, level: str, fmt: Literal["auto", "console", "json"] = "auto"
) -> None:
    """Set up structlog, and let the libraries' own logging come out the same way.

    aiokafka reports every lost connection as an error, many times a second while
    a broker is away; the adapters say it once, so its own lines are left out.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    console = fmt == "console" or (fmt == "auto" and sys.stdout.isatty())
    shared: list[Processor] = [_stamper(service)]
    rendering: list[Processor] = _console() if console else _json()
    output = LineBuffer(sys.stdout)
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: output,
        cache_logger_on_first_use=True,
    )
    _route_stdlib(number, shared, rendering)


def _console() -> list[Processor]:
    colours = "NO_COLOR" not in os.environ and ("FORCE_COLOR" in os.environ or sys.stdout.isatty())
    renderer = structlog.dev.ConsoleRenderer(colors=colours, pad_event_to=24, pad_level=False)
    return [_shorten_time, renderer]


def _json() -> list[Processor]:
    return [structlog.processors.format_exc_info, _as_json]


def _as_json(_logger: WrappedLogger, _name: str, event: EventDict) -> str:
    return to_json(event, fallback=str, inf_nan_mode="strings").decode(errors="backslashreplace")


def _stamper(service: str) -> Processor:
    """Add level, service and time; as one processor, since busy services log much."""
    add_time = structlog.processors.TimeStamper(fmt="iso", utc=True)
    millisecond, text = 0, ""

    def stamp(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        nonlocal millisecond, text
        event["level"] = _LEVELS.get(method, method)
        event["service"] = service
        now = time.monotonic_ns() // _MILLISECOND
        if now == millisecond:
            # To write an instant as text costs more than the rest, and many lines share theirs.
            event["timestamp"] = text
            return event
        stamped = add_time(logger, method, event)
        millisecond, text = now, stamped["timestamp"]
        return stamped

    return stamp


def _shorten_time(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """A person at a console knows the day, and the prefix of the line names the service."""
    event["timestamp"] = str(event["timestamp"])[11:23]
    del event["service"]
    return event


def _route_stdlib(level: int, shared: list[Processor], rendering: list[Processor]) -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(level, logging.WARNING))
    for name, least in _NOISY.items():
        logging.getLogger(name).setLevel(least)
