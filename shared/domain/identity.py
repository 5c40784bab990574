"""Names that decide who wins: execution ids, the active key, and the shard of a workflow.

The unique indexes on these strings are what keeps an occurrence from firing
twice and a workflow from running twice at once (design, sections 2 and 4).
"""

import hashlib
import json
import re
import zlib
from datetime import datetime
from typing import Final
from urllib.parse import quote

from pydantic import JsonValue
from pydantic_core import to_json

from shared.domain.instants import format_instant

DEFAULT_TENANT: Final = "default"
SHARDS: Final = 64
MANUAL: Final = "manual"
"""What stands in an id where those of a schedule name their trigger."""

_UNRESERVED: Final = re.compile(r"[A-Za-z0-9._-]+")


def workflow_key(tenant: str, workflow_id: str) -> str:
    """Return the `_id` of a workflow, which is also the active key of its execution."""
    return f"{_part(tenant)}:{_part(workflow_id)}"


def slot_key(workflow: str, slot: int) -> str:
    """Return the active key of the execution that has a slot of a workflow, given its key.

    The keys of all slots of a workflow sort from its own on and before `key_limit`.
    """
    return workflow if slot == 0 else f"{workflow}#{slot}"


def place_key(workflow: str, place: int) -> str:
    """Return the buffer key of the execution that waits at a place, given the workflow's key."""
    return f"{workflow}#{place}"


def number_in(key: str) -> tuple[str, int]:
    """Return what the key of a slot or place is made of: the workflow's key, and a number."""
    workflow, _, number = key.partition("#")
    return workflow, int(number or 0)


def key_limit(workflow: str) -> str:
    """Return what sorts just behind all numbered keys of a workflow, given its key."""
    return f"{workflow}$"


def version_key(tenant: str, workflow_id: str, version: int) -> str:
    """Return the `_id` of one immutable version of a definition."""
    return f"{workflow_key(tenant, workflow_id)}:{version}"


def occurrence_id(
    tenant: str, workflow_id: str, trigger_id: str, due: datetime, run: int = 0
) -> str:
    """Return the one identity of a scheduled occurrence (`run` is 0 for the schedule itself)."""
    return f"{trigger_key(tenant, workflow_id, trigger_id)}{format_instant(due)}:{run}"


def occurrences_key(tenant: str, workflow_id: str) -> str:
    """Return what the ids of a workflow's executions begin with; trigger and instant follow."""
    return f"{workflow_key(tenant, workflow_id)}:"


def trigger_key(tenant: str, workflow_id: str, trigger_id: str) -> str:
    """Return what the ids of a trigger's occurrences begin with; the instant follows."""
    return f"{occurrences_key(tenant, workflow_id)}{_part(trigger_id)}:"


def manual_id(tenant: str, workflow_id: str, unique: str) -> str:
    """Return the id of a manual execution, from a string that is used only once."""
    return f"{workflow_key(tenant, workflow_id)}:{MANUAL}:{unique}"


def idempotent_id(tenant: str, workflow_id: str, idempotency_key: str) -> str:
    """Return the id that every trigger with this `Idempotency-Key` shares."""
    digest = hashlib.sha256(idempotency_key.encode()).hexdigest()
    return manual_id(tenant, workflow_id, f"key-{digest[:40]}")


def fingerprint(value: JsonValue) -> str:
    """Return a digest of a JSON value that does not depend on the order of its keys."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def digest(value: JsonValue) -> str:
    """Return a short digest of a JSON value as it is stored, the order of its keys included."""
    try:
        text = to_json(value)
    except ValueError:
        # It cannot be stored, either; that is found out, and said, when it is tried.
        text = json.dumps(value).encode()
    return hashlib.blake2b(text, digest_size=8).hexdigest()


def shard_of(tenant: str, workflow_id: str) -> int:
    """Return which of the `SHARDS` parts of the due work this workflow belongs to."""
    return zlib.crc32(workflow_key(tenant, workflow_id).encode()) % SHARDS


def _part(text: str) -> str:
    """Percent-encode a part of a key; what needs no encoding, which is the rule, is quick."""
    return text if _UNRESERVED.fullmatch(text) else quote(text, safe="")
