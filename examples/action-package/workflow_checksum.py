"""The action `checksum`: proves that a file on the runner is there, whole and the right one."""

import asyncio
import hashlib
import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, JsonValue

from shared.domain.catalogue import Effect
from shared.domain.definition import ActionDefinition
from shared.domain.retry import Backoff, RetryPolicy
from shared.ports.actions import Action, ActionContext, ActionError, PermanentError

DIRECTORY: Final = "CHECKSUM_DIRECTORY"
"""The runner's variable that says which files definitions may name."""


class ChecksumAction(ActionDefinition):
    """Computes the checksum of a file, which may be expected to have a certain one.

    A file that is not there yet is waited for, as often as the retry policy says.
    Its output is `{"algorithm": …, "checksum": …, "bytes": …}`.
    """

    type: Literal["checksum"]
    file: Annotated[
        str, Field(min_length=1, max_length=1_024, description="Within CHECKSUM_DIRECTORY.")
    ]
    algorithm: Literal["sha256", "sha512", "blake2b"] = "sha256"
    expected: Annotated[
        str | None,
        Field(pattern="^[0-9a-f]{64,128}$", description="Anything else is a permanent error."),
    ] = None


async def checksum(params: ChecksumAction, _: ActionContext) -> JsonValue:
    """Return the checksum; the file is read in a thread, so that others are not held up."""
    path = _within(os.environ.get(DIRECTORY), params.file)
    try:
        found, size = await asyncio.to_thread(_digest, path, params.algorithm)
    except FileNotFoundError:
        raise ActionError(f"'{params.file}' is not there (yet)") from None
    except OSError as error:
        raise PermanentError(f"'{params.file}' cannot be read: {error.strerror}") from None
    if params.expected not in {None, found}:
        raise PermanentError(f"'{params.file}' has the {params.algorithm} checksum {found}")
    return {"algorithm": params.algorithm, "checksum": found, "bytes": size}


def _within(directory: str | None, file: str) -> Path:
    """Return the path of a file, which a definition may not lead anywhere else."""
    if not directory:
        raise PermanentError(f"set {DIRECTORY} on the runner to the directory of the files")
    root = Path(directory).resolve()
    path = (root / file).resolve()
    if not path.is_relative_to(root):
        raise PermanentError(f"'{file}' is not within {DIRECTORY}")
    return path


def _digest(path: Path, algorithm: str) -> tuple[str, int]:
    with path.open("rb") as content:
        found = hashlib.file_digest(content, algorithm)
        return found.hexdigest(), content.tell()


CHECKSUM: Final = Action(
    ChecksumAction,
    checksum,
    effect=Effect.PURE,
    retry=RetryPolicy(retries=5, backoff=Backoff(initial=timedelta(seconds=1))),
    timeout=timedelta(seconds=30),
)
