"""Pauses as MongoDB keeps them, with a workflow and with what was skipped because of it."""

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from shared.domain.pause import Pause


def pause_document(pause: Pause | None) -> dict[str, Any] | None:
    """Return the document of a pause."""
    return {"since": pause.since, "reason": pause.reason} if pause else None


def to_pause(raw: Mapping[str, Any] | None) -> Pause | None:
    """Return the pause that a document holds."""
    return Pause(raw["since"].replace(tzinfo=UTC), raw["reason"]) if raw else None
