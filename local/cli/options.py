"""The options that commands share, and the variable that says where the API is."""

import os
import sys
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import httpx
import typer

from local.cli.client import Api
from local.cli.errors import CommandError, Exit
from local.cli.output import ENDLESS

DEFAULT_URL: Final = "http://127.0.0.1:8081"
URL_VARIABLE: Final = "WORKFLOWS_API_URL"

LAYOUT: Final[dict[str, Any]] = (
    {}
    if sys.stdout.isatty() and sys.stderr.isatty()
    else {"rich_markup_mode": None, "context_settings": {"terminal_width": ENDLESS}}
)
"""How help and wrong usage are laid out: in boxes on a terminal, in whole lines elsewhere."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until the execution ends.")]
Timeout = Annotated[
    float, typer.Option("--timeout", min=0, help="How many seconds to wait at most.")
]
Input = Annotated[
    str | None, typer.Option("--input", help="JSON, or @FILE to read it from a file.")
]
Limit = Annotated[int, typer.Option("--limit", min=1, help="How many to show at most.")]


def api() -> Api:
    """Return a connection to the API that the environment names.

    Raises CommandError if what it names cannot be an address.
    """
    url = os.environ.get(URL_VARIABLE, DEFAULT_URL)
    wrong = _why_wrong(url)
    if wrong is not None:
        raise CommandError(
            f"{URL_VARIABLE} is {url!r}, {wrong}. It must be an address such as {DEFAULT_URL}.",
            Exit.USAGE,
        )
    return Api(url.rstrip("/"))


def _why_wrong(url: str) -> str | None:
    try:
        _ = urlsplit(url).port
        parsed = httpx.URL(url)
        parsed.host.encode("idna")
    except (ValueError, httpx.InvalidURL) as error:
        return f"which is no URL ({error})"
    rules = (
        (url.strip(), "which is empty"),
        (parsed.scheme in {"http", "https"}, "which does not begin with http:// or https://"),
        (parsed.host, "which names no host"),
        (not any(character.isspace() for character in url), "which has a blank in it"),
        (not parsed.query and not parsed.fragment, "which has more than a path after the host"),
    )
    return next((why for holds, why in rules if not holds), None)
